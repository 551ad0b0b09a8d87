package identity

import (
	"context"
	"crypto/x509"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
)

// Certificate is what the agent shows now.
func (i *Identity) Certificate() ([]*x509.Certificate, error) {
	cert, err := i.certificate()
	return []*x509.Certificate{cert}, err
}

// JoinWith is Join without a network, for tests with a clock of their own.
func JoinWith(ctx context.Context, dir string, token api.Secret, authority interface {
	Join(context.Context, api.JoinRequest) (api.Issued, error)
},
) (*Identity, error) {
	content, err := api.ParseToken(token)
	if err != nil {
		return nil, err
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	i := &Identity{dir: dir, Node: content.Node, Controllers: content.Controllers}
	key, err := mtls.NewKey()
	if err != nil {
		return nil, err
	}
	csr, err := mtls.Request(key)
	if err != nil {
		return nil, err
	}
	issued, err := authority.Join(ctx, api.JoinRequest{Token: token, CSR: string(csr)})
	if err != nil {
		return nil, err
	}
	return i, i.store(issued, key)
}
