-- Lets the finished book work from a folder, where a browser neither fetches files nor loads modules:
-- search.js carries the search index as a script (theme/head.html reads it), and Quarto's one module becomes a plain
-- script. Quarto runs this after a render with its own Lua, so no other program is needed. Where a later Quarto writes
-- other names, nothing is changed and the book works from a server only.

local folder = os.getenv("QUARTO_PROJECT_OUTPUT_DIR")

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- A Lua pattern that matches the text as it is.
local function plain(text) return (text:gsub("%p", "%%%0")) end

local function search_index()
  local index = read(folder .. "/search.json")
  if not index then return end
  -- One string parses faster than a literal; "</" must not end a script.
  local text = index:gsub("[\\\"\n\r]", { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n", ["\r"] = "\\r" })
  text = text:gsub("\u{2028}", "\\u2028"):gsub("\u{2029}", "\\u2029"):gsub("</", "<\\/")
  write(folder .. "/search.js", 'window.bookSearchIndex = "' .. text .. '";\n')
end

-- quarto.js imports only tabsets.js: both together, without import and export, are one plain script.
local function plain_script()
  local scripts = folder .. "/site_libs/quarto-html/"
  local main, tabsets = read(scripts .. "quarto.js"), read(scripts .. "tabsets/tabsets.js")
  local import = 'import * as tabsets from "./tabsets/tabsets.js";'
  if not main or not tabsets or not main:find(import, 1, true) then return end
  local _, exports = tabsets:gsub("\nexport ", "")
  local rest = main:gsub(plain(import), "")
  if exports ~= 1 or not tabsets:find("export function init()", 1, true) or rest:find("\nimport ") or rest:find("\nexport ") then
    return
  end
  local body = tabsets:gsub("export function init", "function init") .. "\nconst tabsets = { init };\n" .. rest
  write(scripts .. "quarto-plain.js", "(() => {\n" .. body .. "\n})();\n")
  return true
end

local function pages()
  local list = os.getenv("QUARTO_PROJECT_OUTPUT_FILES") or ""
  return list:gmatch("[^\r\n]+%.html")
end

if folder then
  search_index()
  local plain_scripts = plain_script()
  for page in pages() do
    local html = read(page)
    if html then
      if plain_scripts then
        html = html:gsub('quarto%-html/quarto%.js" type="module"', 'quarto-html/quarto-plain.js" defer')
        html = html:gsub('<script src="[^"]*tabsets/tabsets%.js" type="module"></script>\n?', "")
      end
      -- The label of "previous" and "next" leaves out the number that they show; the text itself says it all.
      html = html:gsub('(class="pagination%-link") aria%-label="[^"]*"', "%1")
      write(page, html)
    end
  end
end
