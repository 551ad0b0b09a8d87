// Package mtls makes both ends of TLS 1.3 out of files that may change under them,
// or of a controller's own authority, and says in words why they do not meet.
package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
)

// Files are paths of PEM files, all required.
type Files struct {
	// CA has the certificates that sign the other end's.
	CA string
	// Cert and Key are this end's pair; intermediates follow in Cert.
	Cert, Key string
}

// material is what the files hold.
type material struct {
	ca   *x509.CertPool
	pair tls.Certificate
}

// maxFile bounds one PEM file, in bytes.
const maxFile = 1 << 20

// source reads the files afresh for each handshake. While they cannot be read,
// as in the middle of their replacement, what was read last still serves.
type source struct {
	files Files
	log   *slog.Logger

	mu    sync.Mutex
	last  *material
	fault string // told already
}

// open reads the files once, so that faults in them show at the start.
func open(files Files, log *slog.Logger) (*source, error) {
	m, err := files.read()
	if err != nil {
		return nil, err
	}
	return &source{files: files, log: log, last: m}, nil
}

func (s *source) current() *material {
	m, err := s.files.read()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.last, s.fault = m, ""
		return m
	}
	if err.Error() != s.fault {
		s.fault = err.Error()
		s.log.Warn("certificate files not usable, keeping what was read before", "err", err)
	}
	return s.last
}

func (f Files) read() (*material, error) {
	authorities, err := readFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("read CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("read CA: %s holds no certificate; want PEM text that begins with -----BEGIN CERTIFICATE-----", f.CA)
	}
	cert, err := readFile(f.Cert)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	if err := checkSecret(f.Key); err != nil {
		return nil, err
	}
	key, err := readFile(f.Key)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("use certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	return &material{ca: pool, pair: pair}, nil
}

// checkSecret refuses a key that every user of the machine can read.
func checkSecret(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return fmt.Errorf("key %s is open to every user (mode %04o); chmod 600 it, and replace it if others may have read it", path, mode)
	}
	return nil
}

// readFile reads at most maxFile bytes of a regular file.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would make every handshake wait
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("is not a file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("is larger than %d bytes", maxFile)}
	}
	return data, err
}
