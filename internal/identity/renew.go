package identity

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/identity/layout"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/retry"
)

// Controller gives the next certificate to whoever shows the last one. It must
// connect with the identity's files.
type Controller interface {
	Renew(ctx context.Context, node, csr string) (api.Issued, error)
	// Close lets go of connections that the last certificate has made.
	Close()
}

// look is how often the clock is looked at: it may be set, and a machine may
// have slept.
const look = 5 * time.Minute

// Keep renews the certificate when two thirds of its time are over, a little
// earlier on some machines than on others, and again and again until it works;
// also one that has expired. It returns when ctx ends. The key stays the same,
// until a new join.
//
// refused wakes it: the controller has refused a call, perhaps as the certificate
// has ended while the machine slept. It is for the timer to say when to ask again
// for a renewal that is refused itself. nil never wakes.
func (i *Identity) Keep(ctx context.Context, controller Controller, refused <-chan struct{}, log *slog.Logger) {
	log = log.With("node", i.Node)
	backoff := retry.Backoff{First: 2 * time.Second, Max: 5 * time.Minute}
	early := rand.Float64()
	told := ""
	for ctx.Err() == nil {
		wait, err := i.keep(ctx, controller, early, log)
		switch {
		case err == nil:
			told = ""
			backoff.Reset()
		case ctx.Err() != nil:
			return
		default:
			if err.Error() != told { // once is enough, however often it is tried
				told = err.Error()
				log.Warn("certificate not renewed, trying again", "err", err)
			}
			wait = backoff.Next()
		}
		wake := refused
		if api.IsRefused(err) {
			wake = nil
		}
		sleep(ctx, wait, wake)
	}
}

// sleep waits until it is time, until it is woken, or until ctx ends.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// keep renews the certificate if it is due, and returns how long to wait.
func (i *Identity) keep(ctx context.Context, controller Controller, early float64, log *slog.Logger) (time.Duration, error) {
	cert, err := i.certificate()
	if err != nil {
		return 0, err
	}
	if wait := time.Until(due(cert, early)); wait > 0 {
		return min(wait, look), nil
	}
	next, err := i.renew(ctx, controller)
	if err != nil {
		return 0, explain(err, cert, time.Now())
	}
	controller.Close()
	log.Info("certificate renewed", "expires", next.NotAfter)
	wait, left := time.Until(due(next, early)), time.Until(next.NotAfter)
	if wait <= 0 { // most of its time lay behind it when it was made: what is left counts
		wait = left * 2 / 3
	}
	wait = max(wait, left/3) // nor is it renewed again at once where it was nearly so
	if wait <= 0 {           // by a clock that is wrong; that another would do better is not so
		wait = next.NotAfter.Sub(next.NotBefore) / 12
	}
	return min(wait, look), nil
}

// due is when the certificate is to be renewed: after two thirds of its time,
// and up to a twelfth of it earlier, so that not all machines come at once.
func due(cert *x509.Certificate, early float64) time.Time {
	life := cert.NotAfter.Sub(cert.NotBefore)
	return cert.NotBefore.Add(life*2/3 - time.Duration(early*float64(life)/12))
}

// explain says what follows from it that there is no new certificate.
func explain(err error, cert *x509.Certificate, now time.Time) error {
	end := cert.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case api.IsRefused(err):
		return fmt.Errorf("%w; until then containers keep their NICs, and nothing changes on this node", err)
	case now.After(cert.NotAfter):
		return fmt.Errorf("%w; the certificate ended at %s, and until there is a new one the agent can do nothing else; containers keep their NICs", err, end)
	}
	return fmt.Errorf("%w; the certificate is good until %s", err, end)
}

// renew asks for a certificate for the key that there is, and puts it into its
// place, which is one step. A join that comes meanwhile wins.
func (i *Identity) renew(ctx context.Context, controller Controller) (*x509.Certificate, error) {
	key, err := os.ReadFile(i.file(layout.Key))
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	csr, err := mtls.Request(key)
	if err != nil {
		return nil, err
	}
	issued, err := controller.Renew(ctx, i.Node, string(csr))
	if err != nil {
		return nil, err
	}
	unlock, err := lock(i.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	now, err := Load(i.dir)
	if err != nil {
		return nil, err
	}
	if now.Node != i.Node {
		return nil, fmt.Errorf("this machine has joined anew, as node %s; start nicferry-agent again", now.Node)
	}
	// The CA is the one that the connection was checked with.
	ca, err := os.ReadFile(now.file(layout.CA))
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	if key, err = os.ReadFile(now.file(layout.Key)); err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	if err := i.checkIssued(issued, string(ca), key); err != nil {
		return nil, err
	}
	if err := replace(i.file(layout.Cert), []byte(issued.Certificate), 0o644); err != nil {
		return nil, err
	}
	return i.certificate()
}

// Expires is when the certificate that there is ends.
func (i *Identity) Expires() (time.Time, error) {
	cert, err := i.certificate()
	if err != nil {
		return time.Time{}, err
	}
	return cert.NotAfter, nil
}
