// Package cloudcode knows the names of a game's exported cloud code.
package cloudcode

// IsName reports whether s may name a credential or a module, and so a file.
func IsName(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
