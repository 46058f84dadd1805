-- Before Quarto's own filters: a measured figure and the line after it, which says what record it shows, go together to
-- the top or foot of a page; `floating` is a function of the template.
-- Not covered: figures without such a line, which the template places by itself.

local is_source = dofile(pandoc.path.join({ pandoc.path.directory(PANDOC_SCRIPT_FILE), "source-line.lua" }))

-- Quarto has made a float of each captioned figure and table by now; the picture in it tells which.
local function shows_figure(block)
  local float, picture = false, false
  if block.t ~= "Div" then return false end
  local function look(div)
    if div.attributes["__quarto_custom_type"] == "FloatRefTarget" then float = true end
  end
  look(block)
  block:walk({ Div = look, Image = function() picture = true end })
  return float and picture
end

return {
  {
    Blocks = function(blocks)
      local result, changed = pandoc.Blocks({}), false
      local index = 1
      while index <= #blocks do
        local block = blocks[index]
        if shows_figure(block) and is_source(blocks[index + 1]) then
          result:insert(pandoc.RawBlock("typst", "#floating["))
          result:extend({ block, blocks[index + 1] })
          result:insert(pandoc.RawBlock("typst", "]"))
          index, changed = index + 2, true
        else
          result:insert(block)
          index = index + 1
        end
      end
      return changed and result or nil
    end,
  },
}
