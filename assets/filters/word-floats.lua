-- After Quarto's own filters: Quarto puts each captioned figure or table into the one cell of a layout table, which draws
-- rules around figures, centres every cell and is read aloud as a table. Here the cell's content takes its place, with
-- Word's own caption styles and the same anchor. The line that names a record is set as a note. Every chapter but the
-- first begins a page.
-- Not covered: panels of several figures, which stay as they are.

local is_source = dofile(pandoc.path.join({ pandoc.path.directory(PANDOC_SCRIPT_FILE), "source-line.lua" }))

-- A paragraph that begins a page: a break in a paragraph of its own leaves an empty page after one that is full.
local PAGE_BREAK = '<w:p><w:pPr><w:pageBreakBefore/><w:spacing w:before="0" w:after="0" w:line="20" w:lineRule="exact"/>'
  .. '</w:pPr></w:p>'

local function is_caption(block)
  local first = block.t == "Para" and block.content[1]
  return first and first.t == "RawInline" and first.format == "openxml" and first.text:match("ImageCaption") ~= nil
end

local function styled(name, block)
  return pandoc.Div({ block }, pandoc.Attr("", {}, { ["custom-style"] = name }))
end

-- The content of a float, its caption restyled; nothing where there is no caption to find.
local function unwrapped(blocks)
  local caption, has_table = nil, false
  for index, block in ipairs(blocks) do
    if is_caption(block) then caption = index end
    pandoc.Blocks({ block }):walk({ Table = function() has_table = true end })
  end
  if not caption then return nil end
  local result = pandoc.Blocks({})
  for index, block in ipairs(blocks) do
    if index == caption then
      block.content:remove(1)
      result:insert(styled(has_table and "Table Caption" or "Image Caption", block))
    elseif block.t == "Para" or block.t == "Plain" then
      result:insert(styled("Captioned Figure", pandoc.Para(block.content)))
    else
      result:insert(block)
    end
  end
  return result
end

return {
  {
    -- What a picture shows, for readers who cannot see it: Word takes it from the caption of the image alone.
    Image = function(image)
      local alternative = image.attributes["fig-alt"] or image.attributes["alt"]
      if not alternative or alternative == "" then return nil end
      image.attributes["fig-alt"] = nil
      image.caption = pandoc.Inlines({ pandoc.Str(alternative) })
      return image
    end,
  },
  {
    Para = function(block)
      if not is_source(block) then return nil end
      return styled("Source Note", block:walk({
        Code = function(code)
          return pandoc.Span({ pandoc.Str(code.text) }, pandoc.Attr("", {}, { ["custom-style"] = "Verbatim Note" }))
        end,
      }))
    end,
  },
  {
    traverse = "topdown",
    Table = function(tbl)
      local body = tbl.bodies[1]
      local row = #tbl.colspecs == 1 and body and #body.body == 1 and body.body[1]
      local cell = row and row.cells[1]
      if not cell then return nil end
      local holder = #cell.contents == 1 and cell.contents[1]
      local blocks = holder and holder.t == "Div" and holder.content or cell.contents
      local content = unwrapped(blocks)
      if not content then return nil end
      local identifier = holder and holder.t == "Div" and holder.identifier or ""
      return pandoc.Div(content, pandoc.Attr(identifier))
    end,
  },
  {
    Pandoc = function(document)
      local blocks, chapters = pandoc.Blocks({}), 0
      for _, block in ipairs(document.blocks) do
        if block.t == "Header" and block.level == 1 then
          chapters = chapters + 1
          if chapters > 1 then blocks:insert(pandoc.RawBlock("openxml", PAGE_BREAK)) end
        end
        blocks:insert(block)
      end
      document.blocks = blocks
      return document
    end,
  },
}
