package callback

import (
	"embed"
	"io/fs"
)

//go:embed *.d.ts
var typings embed.FS

// Typings returns the TypeScript declarations of what scripts find: spark.d.ts of
// Spark and what it returns, globals.d.ts of the standard globals. An editor that
// has them completes and checks scripts.
func Typings() fs.FS { return typings }
