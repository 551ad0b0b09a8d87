package authority

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/store"
)

// caKey is where the CA is. Whoever can read the store can be anybody.
const caKey = "trust/ca"

// caRecord is the CA as it is stored, both PEM text.
type caRecord struct {
	Schema      int    `json:"schema"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// openCA reads the CA, or makes it. Of two controllers that begin at the same
// time one makes it, and the other takes that.
func openCA(ctx context.Context, s store.Store, now time.Time) (*pair, error) {
	rec, _, err := store.GetJSON[caRecord](ctx, s, caKey)
	if errors.Is(err, store.ErrNotFound) {
		if rec, err = newCA(now); err != nil {
			return nil, err
		}
		var op store.Op
		if op, err = store.CreateJSON(caKey, rec); err != nil {
			return nil, err
		}
		if _, err = s.Commit(ctx, op); errors.Is(err, store.ErrConflict) {
			rec, _, err = store.GetJSON[caRecord](ctx, s, caKey)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the controller's CA: %w", err)
	}
	ca, err := rec.decode()
	if err != nil {
		return nil, fmt.Errorf("read the controller's CA (record %q): %w; restore the store from a backup", caKey, err)
	}
	return ca, nil
}

func newCA(now time.Time) (caRecord, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return caRecord{}, fmt.Errorf("make the controller's CA: %w", err)
	}
	number := serial()
	template := &x509.Certificate{
		// A name of its own, so that two controllers' can be told apart.
		Subject:      pkix.Name{CommonName: "nicferry CA " + hex.EncodeToString(number.Bytes()[:4]), Organization: []string{"nicferry"}},
		SerialNumber: number,
		NotBefore:    now.Add(-mtls.Backdate), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return caRecord{}, fmt.Errorf("make the controller's CA: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return caRecord{}, fmt.Errorf("encode the controller's CA: %w", err)
	}
	return caRecord{
		Schema: 1, Certificate: encodeCert(der),
		Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
	}, nil
}

// decode never has the key in its errors.
func (r caRecord) decode() (*pair, error) {
	certBlock, _ := pem.Decode([]byte(r.Certificate))
	keyBlock, _ := pem.Decode([]byte(r.Key))
	if certBlock == nil || keyBlock == nil {
		return nil, errors.New("no PEM text")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("certificate and key do not belong together")
	}
	return &pair{cert: cert, key: key}, nil
}

func encodeCert(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// serial is a random number of 127 bits, never 0.
func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}
