package metrics

import (
	"os"
	"time"

	"github.com/nicferry/nicferry/internal/mtls"
)

// maxPEM bounds a file of certificates, in bytes.
const maxPEM = 1 << 20

// EndOf is when the first certificate of a PEM text ends; zero if there is none.
func EndOf(text []byte) time.Time {
	if chain := mtls.Certificates(text); len(chain) > 0 {
		return chain[0].NotAfter
	}
	return time.Time{}
}

// EndOfFile is EndOf of a file as it is now; zero if it cannot be read, which
// whoever uses it tells.
func EndOfFile(path string) time.Time {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > maxPEM {
		return time.Time{}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return time.Time{}
	}
	return EndOf(text)
}
