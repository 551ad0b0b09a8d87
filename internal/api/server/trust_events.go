package server

import (
	"context"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// A tellingTrust tells of each token and certificate that people have made or that
// let somebody in. What it refuses is told where calls are refused; the renewals of
// agents are no news.
type tellingTrust struct {
	Trust
	events Events
}

func (t tellingTrust) tell(ctx context.Context, reason nic.Reason, node, format string, args ...any) {
	e := api.Event{Reason: reason, Node: node, Message: fmt.Sprintf(format, args...)}
	if by := peerOf(ctx); by.User != "" {
		e.Message += ", by " + by.User
	}
	t.events.Add(e)
}

// CreateToken is the authority's.
func (t tellingTrust) CreateToken(ctx context.Context, req api.TokenRequest) (api.NewToken, error) {
	token, err := t.Trust.CreateToken(ctx, req)
	if err == nil {
		t.tell(ctx, "TokenCreated", token.Node, "token %s is good until %s", token.ID, token.Expires.UTC().Format(time.RFC3339))
	}
	return token, err
}

// DeleteToken is the authority's.
func (t tellingTrust) DeleteToken(ctx context.Context, id string) error {
	err := t.Trust.DeleteToken(ctx, id)
	if err == nil {
		t.tell(ctx, "TokenDeleted", "", "token %s is taken back", id)
	}
	return err
}

// Join is the authority's.
func (t tellingTrust) Join(ctx context.Context, req api.JoinRequest) (api.Issued, error) {
	issued, err := t.Trust.Join(ctx, req)
	if err == nil {
		t.tell(ctx, "TokenUsed", issued.Node, "the node has joined with a token")
	}
	return issued, err
}

// IssueUser is the authority's.
func (t tellingTrust) IssueUser(ctx context.Context, req api.CertificateRequest) (api.Issued, error) {
	issued, err := t.Trust.IssueUser(ctx, req)
	if err == nil {
		t.tell(ctx, "CertificateIssued", "", "%s %s has a certificate for %s", req.Role, req.Name, req.TTL)
	}
	return issued, err
}
