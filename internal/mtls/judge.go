package mtls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Backdate is how long before its making a certificate of a controller's own
// authority begins: clocks differ.
const Backdate = time.Hour

// ExpiredGrace is how long after its end a node's certificate is still good for
// a new one.
const ExpiredGrace = 30 * 24 * time.Hour

// Judge says whom the certificates speak for that somebody has shown at a
// controller with its own authority, whose own are the roots. It never fails:
// certificates that count for nothing are nobody's, and Why says what to do.
func Judge(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) Peer {
	if len(chain) == 0 {
		return Peer{}
	}
	leaf := chain[0]
	inTime := now
	switch {
	case now.Before(leaf.NotBefore):
		inTime = leaf.NotBefore
	case now.After(leaf.NotAfter):
		inTime = leaf.NotAfter
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: inTime, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil && leaf.IsCA {
		err = errors.New("it is a CA's own")
	}
	if err != nil {
		return Peer{Why: fmt.Sprintf("the certificate that was shown is signed by %.100q and not by this controller (%v); join with a token of this controller, or check the address",
			leaf.Issuer.String(), err)}
	}
	p := PeerOf(leaf)
	since := now.Sub(leaf.NotAfter)
	switch {
	case now.Before(leaf.NotBefore):
		return Peer{Why: fmt.Sprintf("the certificate of %s is good from %s to %s, and to the controller it is %s: its clock was ahead when it made the certificate, or is behind now; set the controller's clock",
			p, stamp(leaf.NotBefore), stamp(leaf.NotAfter), stamp(now))}
	case since <= 0:
		return p
	case p.Role != Node:
		return Peer{Why: fmt.Sprintf("the certificate of %s ended at %s, and to the controller it is %s; make a new one by nicferry certificate create, or set the controller's clock",
			p, stamp(leaf.NotAfter), stamp(now))}
	case since > ExpiredGrace:
		return Peer{Why: fmt.Sprintf("the certificate of %s ended at %s, too long ago to be renewed: to the controller it is %s; join again, with the token that nicferry token create --node %s prints, or set the controller's clock",
			p, stamp(leaf.NotAfter), stamp(now), p.Names[0])}
	}
	p.Expired = true
	return p
}
