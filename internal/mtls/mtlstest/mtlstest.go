// Package mtlstest makes keys and requests for tests.
package mtlstest

import (
	"testing"

	"github.com/nicferry/nicferry/internal/mtls"
)

// Key is a new private key, in PEM.
func Key(t testing.TB) []byte {
	t.Helper()
	key, err := mtls.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Request is a request for a certificate of the key, in PEM.
func Request(t testing.TB, key []byte) string {
	t.Helper()
	csr, err := mtls.Request(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(csr)
}
