-- Before Quarto's own filters: Word cannot be relied on to show SVG, so each vector figure is replaced by the PNG drawn
-- beside it; callouts become paragraphs of the style "Callout".
-- Not covered: an SVG without such a PNG, which stops the render with its name; see also word-floats.lua.

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local KINDS = { note = "Note", tip = "Tip", important = "Important", warning = "Warning", caution = "Caution" }

return {
  {
    Image = function(image)
      if not image.src:match("%.svg$") then return nil end
      local png = image.src:gsub("%.svg$", ".png")
      -- A chapter names figures from its own folder, while the book is rendered from the root: look from both.
      local from_root = png:gsub("^%.%./", "")
      for _, candidate in ipairs({ png, from_root }) do
        if exists(candidate) or exists(quarto.project.directory .. "/" .. candidate) then
          image.src = png
          return image
        end
      end
      error("Word needs a PNG beside " .. image.src .. ": run `codelab figures`")
    end,
    Callout = function(callout)
      local title = pandoc.utils.stringify(callout.title or "")
      if title == "" then title = KINDS[callout.type] or "Note" end
      local blocks = pandoc.Blocks({ pandoc.Para({ pandoc.Strong({ pandoc.Str(title) }) }) })
      blocks:extend(quarto.utils.as_blocks(callout.content) or {})
      return pandoc.Div(blocks, pandoc.Attr("", {}, { ["custom-style"] = "Callout" }))
    end,
  },
}
