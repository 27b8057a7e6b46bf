package callback

import (
	"embed"
	"io/fs"
)

//go:embed *.d.ts
var typings embed.FS

// Typings returns TypeScript declarations, with which an editor can complete and
// check scripts: spark.d.ts for Spark and what it returns, globals.d.ts for the
// standard globals.
func Typings() fs.FS { return typings }
