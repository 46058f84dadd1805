-- A number stays on one line with what it counts: "5 %", "7 B", "24 GB". Not covered: units in formulas and in code, and
-- values that the package shows, which hold such a space already.

local UNITS = { ["%"] = true, B = true, M = true, GB = true, MB = true, kB = true }

return {
  {
    Inlines = function(inlines)
      for index = 2, #inlines - 1 do
        local before, space, after = inlines[index - 1], inlines[index], inlines[index + 1]
        if space.t == "Space" and before.t == "Str" and before.text:match("%d$") and after.t == "Str" then
          if UNITS[after.text:match("^%%") or after.text:match("^%a+")] then
            inlines[index] = pandoc.Str("\u{a0}")
          end
        end
      end
      return inlines
    end,
  },
}
