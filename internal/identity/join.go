package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/identity/layout"
	"github.com/nicferry/nicferry/internal/mtls"
)

// JoinOptions say how to join.
type JoinOptions struct {
	// Dir is where the identity is made. Required. It is made too if need be.
	Dir string
	// Token is what `nicferry token create` has printed. Required.
	Token api.Secret
	// Addresses are the controller's, as ParseAddresses returns them. Optional
	// where the token has some.
	Addresses []string
	// Force replaces an identity that there is.
	Force bool
	// Told is called with each step before it is done, for people. Optional.
	Told func(step string)
	// Log is told what is tried again. Optional.
	Log *slog.Logger
}

// A TokenError means that the token cannot be read, or does not say enough.
type TokenError struct{ Err error }

// Error is the cause's; it never has the token.
func (e TokenError) Error() string { return e.Err.Error() }

// Unwrap is the cause.
func (e TokenError) Unwrap() error { return e.Err }

// ErrJoined means that there is an identity already.
var ErrJoined = errors.New("this machine has joined already")

// Join makes a key, shows the token to the controller that made it and to no
// other, and keeps the certificate that it gets. Until the controller has
// answered, an identity that there is stays as it is. It may be repeated with the
// same token after a lost answer. An *api.Error says why the controller refused,
// a *mtls.PinError that it is another one.
func Join(ctx context.Context, opts JoinOptions) (*Identity, error) {
	if opts.Told == nil {
		opts.Told = func(string) {}
	}
	token, err := api.ParseToken(opts.Token)
	if err != nil {
		return nil, TokenError{err}
	}
	i := &Identity{dir: opts.Dir, Node: token.Node, Controllers: opts.Addresses}
	if len(i.Controllers) == 0 {
		i.Controllers = token.Controllers
	}
	if len(i.Controllers) == 0 {
		return nil, TokenError{errors.New("the token has no address of the controller; give one: nicferry-agent join ADDRESS TOKEN")}
	}
	if err := checkContent(layout.Content{Node: i.Node, Controllers: i.Controllers}); err != nil {
		return nil, TokenError{err}
	}
	if err := makeDir(opts.Dir); err != nil {
		return nil, err
	}
	unlock, err := lock(opts.Dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !opts.Force {
		if err := vacant(opts.Dir); err != nil {
			return nil, err
		}
	}
	return i, i.join(ctx, opts, token.CA)
}

// makeDir makes the directory, or checks the one that is there.
func makeDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make the directory of the identity: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the directory of the identity: %w", err)
	}
	return checkDir(dir)
}

// vacant refuses a directory with an identity, good or not.
func vacant(dir string) error {
	there, err := Load(dir)
	switch {
	case errors.Is(err, ErrNone):
		return nil
	case err != nil:
		return fmt.Errorf("%w, and its identity is not good: %w", ErrJoined, err)
	}
	return fmt.Errorf("%w, as node %s of %s; --force has it join anew, and the old certificate is void then", ErrJoined, there.Node, there.Controllers[0])
}

func (i *Identity) join(ctx context.Context, opts JoinOptions, fingerprint string) error {
	key, err := i.pendingKey()
	if err != nil {
		return err
	}
	csr, err := mtls.Request(key)
	if err != nil {
		return err
	}
	controller, err := client.Open(client.Options{Addresses: i.Controllers, Fingerprint: fingerprint, Log: opts.Log, Retries: joinRetries})
	if err != nil {
		return err
	}
	defer controller.Close()
	opts.Told(fmt.Sprintf("joining as node %s at %s, whose CA must have the fingerprint %s", i.Node, i.Controllers[0], fingerprint))
	issued, err := controller.Join(ctx, opts.Token, string(csr))
	if err != nil {
		return fmt.Errorf("join as node %s: %w", i.Node, err)
	}
	if err := i.checkIssued(issued, issued.CA, key); err != nil {
		return fmt.Errorf("join as node %s: %w", i.Node, err)
	}
	return i.store(issued, key)
}

// joinRetries lets a join outlive a restart of the controller: some seconds.
const joinRetries = 5

// pendingKey is the key of a join that was not answered, or a new one. It is on
// the disk before anybody hears of it.
func (i *Identity) pendingKey() ([]byte, error) {
	path := i.file(pendingFile)
	key, err := os.ReadFile(path)
	if err == nil && checkFile(path) == nil {
		if _, err := mtls.Request(key); err == nil {
			return key, nil
		}
	}
	if key, err = mtls.NewKey(); err != nil {
		return nil, err
	}
	return key, replace(path, key, 0o600)
}

// checkIssued wants a certificate of this node, for this key, signed by the CA.
func (i *Identity) checkIssued(issued api.Issued, ca string, key []byte) error {
	pair, err := tls.X509KeyPair([]byte(issued.Certificate), key)
	if err != nil {
		return fmt.Errorf("read the controller's answer: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ca)) {
		return errors.New("read the controller's answer: it has no CA")
	}
	// Whether its time is now is for the controller's clock to say.
	_, err = pair.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: pair.Leaf.NotAfter, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("read the controller's answer: %w", err)
	}
	if peer := mtls.PeerOf(pair.Leaf); !peer.Itself(i.Node) {
		return fmt.Errorf("read the controller's answer: the certificate is made out for %s, not for node %s", peer, i.Node)
	}
	return nil
}

// store puts the identity into its place. If it is interrupted there is none.
func (i *Identity) store(issued api.Issued, key []byte) error {
	text, err := json.MarshalIndent(layout.Content{Node: i.Node, Controllers: i.Controllers}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	if err := remove(i.file(layout.Record)); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{
		{layout.Key, key, 0o600},
		{layout.Cert, []byte(issued.Certificate), 0o644},
		{layout.CA, []byte(issued.CA), 0o644},
		{layout.Record, append(text, '\n'), 0o644},
	} {
		if err := replace(i.file(f.name), f.data, f.mode); err != nil {
			return err
		}
	}
	return remove(i.file(pendingFile))
}
