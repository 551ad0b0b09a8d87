// Package certs is a certificate authority of the lab's own, for networks that
// nobody else is on.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// lifetime is that of all certificates that do not say otherwise.
const lifetime = 30 * 24 * time.Hour

// adminOrganisation is what the controller wants of a certificate that may do
// everything.
const adminOrganisation = "nicferry-admin"

// A Pair is where a certificate and its key are, and the CA's certificate that
// the other end is checked with.
type Pair struct {
	CA, Cert, Key string
}

// A CA signs the certificates of one lab. Its methods may be called again: the
// same name gets a new certificate in the same files.
type CA struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes a CA in dir, which it makes too, or takes over the one that is
// there while that is good for another day.
func New(dir string) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the lab's certificates: %w", err)
	}
	ca := &CA{dir: dir}
	err := ca.load()
	if err == nil && time.Until(ca.cert.NotAfter) > 24*time.Hour {
		return ca, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("take over the lab's CA in %s: %w; remove the directory to have a new one", dir, err)
	}
	ca.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the lab's CA: %w", err)
	}
	ca.cert = &x509.Certificate{
		Subject: pkix.Name{CommonName: "nicferry lab CA"}, SerialNumber: serial(),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lifetime),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, ca.cert, ca.cert, &ca.key.PublicKey, ca.key)
	if err != nil {
		return nil, fmt.Errorf("make the lab's CA: %w", err)
	}
	if ca.cert, err = x509.ParseCertificate(cert); err != nil {
		return nil, fmt.Errorf("make the lab's CA: %w", err)
	}
	return ca, write(ca.file("ca.pem"), ca.file("ca.key"), cert, ca.key)
}

// Server makes the controller's pair, for the IP addresses and host names that
// it is dialled by.
func (ca *CA) Server(addrs ...string) (Pair, error) {
	leaf := Leaf{File: "nicferryd", CommonName: "nicferryd", Server: true}
	for _, addr := range addrs {
		if ip := net.ParseIP(addr); ip != nil {
			leaf.Addrs = append(leaf.Addrs, ip)
		} else {
			leaf.Names = append(leaf.Names, addr)
		}
	}
	return ca.Issue(leaf)
}

// Node makes the pair of a node's agent.
func (ca *CA) Node(name string) (Pair, error) {
	if err := nic.CheckName("node", name); err != nil {
		return Pair{}, err
	}
	return ca.Issue(Leaf{File: "node-" + name, CommonName: name})
}

// Admin makes a pair for the command line, which may do everything.
func (ca *CA) Admin() (Pair, error) {
	return ca.Issue(Leaf{File: "admin", CommonName: "lab admin", Organisation: adminOrganisation})
}

// A Leaf is what a certificate says; Issue makes it.
type Leaf struct {
	File         string // required: the files' name in the CA's directory
	CommonName   string
	Organisation string
	Names        []string // DNS names
	Addrs        []net.IP
	Server       bool // for a server, else for a client
	// NotBefore and NotAfter are when it is good; default an hour ago and as
	// long as the CA.
	NotBefore, NotAfter time.Time
}

// Issue makes a pair with all that a test may want to be wrong in it. The
// files are replaced one after the other.
func (ca *CA) Issue(l Leaf) (Pair, error) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: l.CommonName}, SerialNumber: serial(),
		NotBefore: l.NotBefore, NotAfter: l.NotAfter, DNSNames: l.Names, IPAddresses: l.Addrs,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if l.Organisation != "" {
		template.Subject.Organization = []string{l.Organisation}
	}
	if l.Server {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	if l.NotBefore.IsZero() {
		template.NotBefore = ca.cert.NotBefore
	}
	if l.NotAfter.IsZero() {
		template.NotAfter = ca.cert.NotAfter
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make key of %s: %w", l.File, err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return Pair{}, fmt.Errorf("make certificate of %s: %w", l.File, err)
	}
	pair := Pair{CA: ca.file("ca.pem"), Cert: ca.file(l.File + ".pem"), Key: ca.file(l.File + ".key")}
	return pair, write(pair.Cert, pair.Key, cert, key)
}

func (ca *CA) file(name string) string { return filepath.Join(ca.dir, name) }

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}

// load reads what write has written.
func (ca *CA) load() error {
	certText, err := os.ReadFile(ca.file("ca.pem"))
	if err != nil {
		return err
	}
	keyText, err := os.ReadFile(ca.file("ca.key"))
	if err != nil {
		return err
	}
	cert, _ := pem.Decode(certText)
	key, _ := pem.Decode(keyText)
	if cert == nil || key == nil {
		return errors.New("not PEM text")
	}
	if ca.cert, err = x509.ParseCertificate(cert.Bytes); err != nil {
		return err
	}
	ca.key, err = x509.ParseECPrivateKey(key.Bytes)
	if err == nil && !ca.key.PublicKey.Equal(ca.cert.PublicKey) {
		err = errors.New("certificate and key do not belong together")
	}
	return err
}

// write puts a pair into its files, each of them whole at any time: the key
// first, so that a reader who comes in between keeps what it has.
func write(certPath, keyPath string, cert []byte, key *ecdsa.PrivateKey) error {
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	return errors.Join(
		replace(keyPath, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600),
		replace(certPath, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644),
	)
}

func replace(path string, data []byte, mode fs.FileMode) error {
	if err := os.WriteFile(path+".new", data, mode); err != nil {
		return fmt.Errorf("write certificate files: %w", err)
	}
	return os.Rename(path+".new", path)
}
