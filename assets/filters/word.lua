-- Word cannot be relied on to show SVG: each vector figure is replaced by the PNG drawn beside it.
-- Not covered: an SVG without such a PNG, which stops the render with its name.

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

return {
  {
    Image = function(image)
      if not image.src:match("%.svg$") then return nil end
      local png = image.src:gsub("%.svg$", ".png")
      -- Chapters name figures from their own folder, the book is rendered from the root: look from both.
      local from_root = png:gsub("^%./", ""):gsub("^[^%s]-%.%./", "")
      for _, candidate in ipairs({ png, from_root, png:gsub("^%.%./", "") }) do
        if exists(candidate) or exists(quarto.project.directory .. "/" .. candidate) then
          image.src = png
          return image
        end
      end
      error("Word needs a PNG beside " .. image.src .. ": run `codelab figures`")
    end,
  },
}
