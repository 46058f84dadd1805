"""Methods and builtins that tell what their object or arguments are; words that mean several things stand alone."""


def words(text: str) -> frozenset[str]:
    """The words of a text, for lists of names."""
    return frozenset(text.split())


STRING = words(
    "lower upper strip lstrip rstrip split rsplit splitlines startswith endswith replace title capitalize isdigit "
    "isalpha isalnum isupper islower isspace isnumeric isdecimal isidentifier encode format zfill center ljust rjust "
    "find rfind partition rpartition swapcase casefold translate join expandtabs rindex removeprefix removesuffix "
    "istitle isascii isprintable"
)
SAME = words("lower upper strip lstrip rstrip replace title casefold removeprefix removesuffix copy")
LIST = words("append extend sort reverse insert remove")
DICT = words("items keys values setdefault")
SET = words("union intersection difference issubset issuperset symmetric_difference isdisjoint add discard")
SHARED = words("get update index count pop copy is_integer bit_length")
PROBES = words(
    "startswith endswith split rsplit partition rpartition find rfind replace strip lstrip rstrip count index "
    "removeprefix removesuffix"
)
THROUGH = words("sorted list tuple set reversed iter frozenset deque")
EACH = words("any all enumerate zip map filter Counter heapify OrderedDict dict chain groupby cycle islice")
WHOLE_NUMBERS = words("range chr bin hex oct gcd factorial isqrt comb")
NUMBERS = words("max min abs round pow divmod sqrt float")
WHOLE_NUMBERS_OF_MATH = words("gcd factorial isqrt comb lcm perm")
TYPES = words("int float str list dict set bool")
