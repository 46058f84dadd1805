-- Columns as wide as what stands in them. Pandoc takes the widths of a long pipe table from the dashes under its head,
-- which says nothing about the text; here each column gets a share that grows with its longest word and its longest cell.
-- Not covered: tables without widths, which every format already fits by itself, and tables with merged cells.

local LINE = 96 -- characters on one line of a table in the PDF

-- Heads are bold and code is set in a wider face, hence a factor.
local function measure(cell, found, factor)
  local text = pandoc.utils.stringify(cell.contents)
  cell.contents:walk({ Code = function() factor = math.max(factor, 1.25) end })
  found.longest = math.max(found.longest, (utf8.len(text) or #text) * factor)
  -- A line may end after a hyphen.
  for word in text:gmatch("[^%s%-]+") do found.word = math.max(found.word, (utf8.len(word) or #word) * factor) end
  return (cell.col_span or 1) == 1
end

return {
  {
    Table = function(tbl)
      local columns = {}
      for index, spec in ipairs(tbl.colspecs) do
        if not spec[2] then return nil end
        columns[index] = { word = 1, longest = 1 }
      end
      local bodies = {}
      for _, body in ipairs(tbl.bodies) do
        for _, row in ipairs(body.body) do table.insert(bodies, row) end
      end
      for part, rows in ipairs({ tbl.head.rows, bodies }) do
        for _, row in ipairs(rows) do
          for index, cell in ipairs(row.cells) do
            if not columns[index] or not measure(cell, columns[index], part == 1 and 1.25 or 1) then return nil end
          end
        end
      end
      local natural, least, wanted = 0, 0, 0
      for _, column in ipairs(columns) do
        column.least = column.word + 4
        -- The root keeps one very long cell from taking the page.
        column.wanted = math.max(0, 3.2 * math.sqrt(column.longest) - column.least)
        natural = natural + column.longest + 4
        least, wanted = least + column.least, wanted + column.wanted
      end
      local total, shares = 0, {}
      for index, column in ipairs(columns) do
        -- Where everything fits on one line it does. Else every column first gets the room of its longest word, as far as
        -- there is room, and what is left goes where the text is long.
        local more = (wanted > 0 and least < LINE) and (LINE - least) * column.wanted / wanted or 0
        shares[index] = natural <= LINE and column.longest + 4 or column.least + more
        total = total + shares[index]
      end
      for index, spec in ipairs(tbl.colspecs) do
        tbl.colspecs[index] = { spec[1], shares[index] / total }
      end
      return tbl
    end,
  },
}
