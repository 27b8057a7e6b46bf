package main

import (
	"crypto/tls"
	"sync/atomic"
)

// A certificate is the last good state of a pair of PEM files.
type certificate struct {
	certPath, keyPath string
	current           atomic.Pointer[tls.Certificate]
}

// load reads both files. It ignores its argument, the content of the file that
// has changed, because a certificate is useless without its key.
func (c *certificate) load([]byte) error {
	cert, err := readFile(c.certPath)
	if err != nil {
		return err
	}
	key, err := readFile(c.keyPath)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return err
	}
	c.current.Store(&pair)
	return nil
}

// config is a server's TLS configuration, which follows the files.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
