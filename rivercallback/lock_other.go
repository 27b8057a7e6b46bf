//go:build !unix

package rivercallback

import "os"

// lockFile opens a file, and creates it if necessary. On this system it is no
// lock.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
