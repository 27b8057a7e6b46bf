//go:build !linux

package sandbox

import "os"

func readQuietly(*os.File, []byte) int { return 0 }

func writeQuietly(*os.File, []byte) int { return 0 }
