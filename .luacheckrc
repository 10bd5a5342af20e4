std = "luajit"
self = false
max_line_length = 140
files["spec/"] = { std = "+busted" }
files["rockspec/"] = { std = "+rockspec" }
exclude_files = { "build*/", ".local/" }
