-- Columns as wide as what stands in them. Pandoc takes the widths of a long pipe table from the dashes under its head,
-- which says nothing about the text; here each column gets a share that grows with its longest word and its longest cell.
-- Not covered: tables without widths, which every format already fits by itself, and tables with merged cells.

local LINE = 96 -- characters on one line of a table in the PDF
local GAP = 3 -- characters that the space beside a column's text takes

-- Heads are bold and code is set in a wider face, hence a factor.
local function measure(cell, found, factor, part)
  local text = pandoc.utils.stringify(cell.contents)
  cell.contents:walk({ Code = function() factor = math.max(factor, 1.1) end })
  found[part] = math.max(found[part], (utf8.len(text) or #text) * factor)
  -- A line may end after a hyphen.
  for word in text:gmatch("[^%s%-]+") do found.word = math.max(found.word, (utf8.len(word) or #word) * factor) end
  return (cell.col_span or 1) == 1
end

-- Where all does not fit on one line, heads break first, between words: a row's name on two lines is harder to read.
-- Then what fits into an even share of the line gets what it needs, and the others divide the rest by the root of their longest
-- cells, so that one very long cell does not take the page; none is narrower than its longest word while there is room.
local function divide(columns)
  local shares, fixed, natural = {}, {}, 0
  for _, heads in ipairs({ "whole", "broken" }) do
    natural = 0
    for index, column in ipairs(columns) do
      column.longest = math.max(column.body, heads == "whole" and column.head or column.word)
      column.least, column.most = column.word + GAP, column.longest + GAP
      shares[index] = column.most
      natural = natural + column.most
    end
    if natural <= LINE then return shares end
  end
  while natural > LINE do
    local room, weights, free = LINE, 0, 0
    for index, column in ipairs(columns) do
      if fixed[index] then
        room = room - shares[index]
      else
        weights, free = weights + math.sqrt(column.longest), free + 1
      end
    end
    local found = { short = {}, narrow = {}, wide = {} }
    for index, column in ipairs(columns) do
      if not fixed[index] then
        shares[index] = room * math.sqrt(column.longest) / weights
        if column.most <= room / free then table.insert(found.short, index) end
        if shares[index] < column.least then table.insert(found.narrow, index) end
        if shares[index] > column.most then table.insert(found.wide, index) end
      end
    end
    local which = #found.short > 0 and "short" or #found.narrow > 0 and "narrow" or "wide"
    if #found[which] == 0 then break end
    for _, index in ipairs(found[which]) do
      shares[index] = which == "narrow" and columns[index].least or columns[index].most
      fixed[index] = true
    end
  end
  return shares
end

return {
  {
    Table = function(tbl)
      local columns = {}
      for index, spec in ipairs(tbl.colspecs) do
        if not spec[2] then return nil end
        columns[index] = { word = 1, head = 1, body = 1 }
      end
      local bodies = {}
      for _, body in ipairs(tbl.bodies) do
        for _, row in ipairs(body.body) do table.insert(bodies, row) end
      end
      for part, rows in ipairs({ tbl.head.rows, bodies }) do
        for _, row in ipairs(rows) do
          for index, cell in ipairs(row.cells) do
            local head = part == 1
            if not columns[index] or not measure(cell, columns[index], head and 1.25 or 1, head and "head" or "body") then
              return nil
            end
          end
        end
      end
      local shares = divide(columns)
      local total = 0
      for _, share in ipairs(shares) do total = total + share end
      for index, spec in ipairs(tbl.colspecs) do
        tbl.colspecs[index] = { spec[1], shares[index] / total }
      end
      return tbl
    end,
  },
}
