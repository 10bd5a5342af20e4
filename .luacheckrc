std = "luajit"
self = false
max_line_length = 140
-- Declarations and tables of cases read better uncut.
files["spec/"] = { std = "+busted", max_line_length = 220 }
files["rockspec/"] = { std = "+rockspec" }
exclude_files = { "build*/", ".local/" }
