-- title: An announcement's title in plain characters
-- description: Full-width commas and brackets, which Chinese and Korean titles use, become their plain forms.
-- param title VARCHAR = NULL  -- the title
-- example: SELECT plain_title('A（AAA），B')
regexp_replace(translate($title, '，、；（）［］＆／：　', ',,;()[]&/: '), '\s+', ' ', 'g')
