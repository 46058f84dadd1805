-- Writes search.js beside search.json, so that search also works in a book opened from a folder (see theme/head.html).
-- Quarto runs this after a render with its own Lua: no other program is needed.

local folder = os.getenv("QUARTO_PROJECT_OUTPUT_DIR")
local source = folder and io.open(folder .. "/search.json", "rb")
if source then
  local index = source:read("a")
  source:close()
  -- The index goes in as one string, which a browser parses faster than a literal; "</" must not end a script.
  local text = index:gsub("[\\\"\n\r]", { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n", ["\r"] = "\\r" })
  text = text:gsub("\u{2028}", "\\u2028"):gsub("\u{2029}", "\\u2029"):gsub("</", "<\\/")
  local target = assert(io.open(folder .. "/search.js", "wb"))
  target:write('window.bookSearchIndex = "', text, '";\n')
  target:close()
end
