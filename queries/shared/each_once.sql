-- title: A list without repeats, in its order
-- description: Of equal items the first is kept.
-- param items VARCHAR[] = NULL  -- the list
-- example: SELECT each_once(['a', 'b', 'a'])
list_filter($items, lambda item, place: list_position($items, item) = place)
