package mtls_test

import (
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
)

// own serves with a leaf of a CA, as a controller with its own authority does,
// and gives away how the one handshake ends at its end.
func own(t *testing.T, ca *certs.CA, leaf certs.Leaf) (address string, ended <-chan error) {
	t.Helper()
	leaf.Server, leaf.File = true, "controller"
	pair, err := ca.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert.Certificate = append(cert.Certificate, read(t, pair.CA).Raw)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plain.Close() })
	ln := mtls.ListenOwn(plain, func() (*tls.Certificate, error) { return &cert, nil })
	done := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		done <- conn.(*tls.Conn).HandshakeContext(t.Context())
	}()
	return plain.Addr().String(), done
}

func newCA(t *testing.T) (ca *certs.CA, fingerprint string) {
	t.Helper()
	ca, err := certs.New(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Admin()
	if err != nil {
		t.Fatal(err)
	}
	return ca, mtls.Fingerprint(read(t, pair.CA))
}

// What a fingerprint names is taken, and nothing else; both ends say why not.
// A clock that is a day off is told at both.
func TestS4_ClockADayOff(t *testing.T) {
	t.Parallel()
	ca, fingerprint := newCA(t)
	_, otherFingerprint := newCA(t)
	now, day := time.Now(), 24*time.Hour
	loopback := []net.IP{net.ParseIP("127.0.0.1")}
	for name, tc := range map[string]struct {
		leaf certs.Leaf
		pin  string
		want string // empty if it is taken
	}{
		"good":                {certs.Leaf{Addrs: loopback}, fingerprint, ""},
		"wrong fingerprint":   {certs.Leaf{Addrs: loopback}, otherFingerprint, "is not the controller that made the token"},
		"another address":     {certs.Leaf{Names: []string{"elsewhere"}}, fingerprint, "listen.names"},
		"this clock behind":   {certs.Leaf{Addrs: loopback, NotBefore: now.Add(day - time.Hour), NotAfter: now.Add(30 * day)}, fingerprint, "this machine's clock is at least 23h0m0s behind the controller's"},
		"this clock ahead":    {certs.Leaf{Addrs: loopback, NotBefore: now.Add(-31 * day), NotAfter: now.Add(-day)}, fingerprint, "set this machine's clock if that is ahead"},
		"ahead by half a day": {certs.Leaf{Addrs: loopback, NotBefore: now.Add(-13 * time.Hour), NotAfter: now.Add(day)}, fingerprint, ""},
	} {
		t.Run(name, func(t *testing.T) {
			address, ended := own(t, ca, tc.leaf)
			client, err := mtls.NewPinned(tc.pin)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := client.Handshake(t.Context(), plain, "127.0.0.1")
			if err == nil {
				defer conn.Close()
			}
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if pin, ok := errors.AsType[*mtls.PinError](err); ok && (pin.Have != fingerprint || pin.Want != tc.pin) {
				t.Errorf("the error has %+v", pin)
			}
			there := <-ended
			if tc.want == "" {
				if there != nil {
					t.Errorf("the controller's end: %v", there)
				}
				return
			}
			if there == nil || !strings.Contains(mtls.TurnedAway("http: TLS handshake error from 10.0.0.7:1: "+there.Error()), "compare its clock with this machine's") {
				t.Errorf("the controller's end: %v: %q", there, mtls.TurnedAway("http: TLS handshake error from 10.0.0.7:1: "+there.Error()))
			}
		})
	}
	if mtls.TurnedAway("http: Accept error: too many open files") != "" {
		t.Error("says something of what it does not know")
	}
}
