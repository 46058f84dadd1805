-- Whether a block is the line that says which record a figure or table shows, "Record …, commit …"; filters beside this
-- file load it by its path.
-- Not covered: what the line says (codelab.book.facts.provenance); codelab.book.render.source has the same rule.

return function(block)
  if not block or block.t ~= "Para" then return false end
  local first = block.content[1]
  local named = first and first.t == "Str" and (first.text == "Record" or first.text == "Records")
  return named and pandoc.utils.stringify(block):find(", commit ", 1, true) ~= nil
end
