package server

import (
	"context"
	"crypto/x509"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
)

// A Trust is the controller's own authority over certificates. All methods may
// be called concurrently; errors are told apart as errors.go says.
type Trust interface {
	// Peer says whom the certificates speak for that a client has shown.
	Peer(chain []*x509.Certificate) mtls.Peer
	// Check refuses a node whose certificate is good by itself and must not be
	// used any more.
	Check(ctx context.Context, peer mtls.Peer) error
	// Join gives a certificate for a token, and the same key one again.
	Join(ctx context.Context, req api.JoinRequest) (api.Issued, error)
	// Renew gives the node that the peer is its next certificate.
	Renew(ctx context.Context, peer mtls.Peer, csr string) (api.Issued, error)
	// CreateToken makes a token; its answer alone has the secret.
	CreateToken(ctx context.Context, req api.TokenRequest) (api.NewToken, error)
	// Tokens are all that wait to be used, the oldest first.
	Tokens(ctx context.Context) ([]api.Token, error)
	// DeleteToken takes one back. One that is not there: not found.
	DeleteToken(ctx context.Context, id string) error
	// IssueUser makes a person's certificate.
	IssueUser(ctx context.Context, req api.CertificateRequest) (api.Issued, error)
}

// noTrust stands in where there is no authority: nobody is anybody by a
// certificate that it would have to judge, and nobody gets one.
type noTrust struct{}

func (noTrust) refuse() error {
	return &api.Error{Code: api.CodeRefused, Message: "this controller has no authority of its own, and makes no certificates"}
}

func (noTrust) Peer([]*x509.Certificate) mtls.Peer     { return mtls.Peer{} }
func (noTrust) Check(context.Context, mtls.Peer) error { return nil }

func (n noTrust) Join(context.Context, api.JoinRequest) (api.Issued, error) {
	return api.Issued{}, n.refuse()
}

func (n noTrust) Renew(context.Context, mtls.Peer, string) (api.Issued, error) {
	return api.Issued{}, n.refuse()
}

func (n noTrust) CreateToken(context.Context, api.TokenRequest) (api.NewToken, error) {
	return api.NewToken{}, n.refuse()
}

func (n noTrust) Tokens(context.Context) ([]api.Token, error) { return nil, n.refuse() }
func (n noTrust) DeleteToken(context.Context, string) error   { return n.refuse() }
func (n noTrust) IssueUser(context.Context, api.CertificateRequest) (api.Issued, error) {
	return api.Issued{}, n.refuse()
}
