package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
)

// access is who may call a route.
type access int

const (
	admins    access = iota // those who may do everything; what is not named otherwise
	viewers                 // those who may look at everything, and admins
	theNode                 // the node of the path, and admins
	theOwner                // the node of the claim, which the handler finds out, and admins
	itsOwn                  // who may look at everything, and the node of the path at itself
	ownersOwn               // the same, of a claim or NIC whose node the handler finds out
	itself                  // the node of the path alone, also with a certificate that has ended
	anybody                 // whoever has a certificate that counts
	nobody                  // whoever can connect
)

// accessOf is the one table of who may call what.
func accessOf(operation string) access {
	switch operation {
	case "hello", "report", "wanted", "watch",
		"list-tasks", "begin-task", "progress-task", "finish-task", "send-stream", "take-stream":
		return theNode
	case "acquire", "release":
		return theOwner
	case "version":
		return anybody
	case "get-node":
		return itsOwn
	case "get-claim", "get-nic":
		return ownersOwn
	case "list-claims", "list-nics", "list-nodes", "list-networks", "get-network", "plan-network", "node-room", "status", "events":
		return viewers
	case "plan-move", "list-moves", "get-move", "list-drains":
		return viewers
	case "audit": // to mend is for admins, which the handler sees to
		return viewers
	case "renew":
		return itself
	case joinOperation:
		return nobody
	}
	return admins
}

// authorise lets a call through to its handler, or answers it with a refusal
// before its body is read.
func (s *server) authorise(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	err := s.allow(ctx.Context(), op.OperationID, ctx.Param("name"))
	r, w := humago.Unwrap(ctx)
	if err == nil {
		done, tooMany := s.mayBegin(ctx, r)
		if busy, ok := errors.AsType[reply](tooMany); ok {
			w.Header().Set("Retry-After", "1")
			writeError(w, busy.GetStatus(), busy.wire)
			return
		}
		defer done()
		next(ctx)
		return
	}
	w.Header().Set("Connection", "close") // a better certificate needs a new one
	e := s.wire(ctx.Context(), *op, err)
	writeError(w, e.Code.Status(), e)
}

// mayBegin refuses a call of which there are too many. done is to be called after
// it.
func (s *server) mayBegin(ctx huma.Context, r *http.Request) (done func(), err error) {
	if err := s.limit(ctx.Context()); err != nil {
		return nil, err
	}
	if accessOf(ctx.Operation().OperationID) == nobody && !s.joins.allow(ctx.RemoteAddr(), time.Now()) {
		return nil, later("too many attempts to join from this address; again in a minute")
	}
	return s.begin(ctx.Context(), r, ctx.Operation().MaxBodyBytes)
}

// allow says whether the caller may call the operation; node is that of the
// path.
func (s *server) allow(ctx context.Context, operation, node string) error {
	peer, who := peerOf(ctx), accessOf(operation)
	if who == nobody {
		return nil
	}
	if err := s.standing(ctx, operation, peer, who); err != nil {
		return err
	}
	switch {
	case who == theNode:
		return s.mayActAs(ctx, operation, node)
	case who == itsOwn:
		return s.maySee(ctx, operation, "node "+node, node)
	case who == itself && !peer.Itself(node):
		return s.refuse(ctx, operation, fmt.Sprintf("%s is for node %.80q itself, with a certificate of its own; %s is another", operation, node, peer))
	case who == viewers && !peer.Sees():
		return s.refuse(ctx, operation, fmt.Sprintf("%s is for viewers and admins: use the controller's socket, or a certificate with the organisation %s or %s",
			operation, mtls.ViewerOrganisation, mtls.AdminOrganisation))
	case who == admins:
		return s.mustBeAdmin(ctx, operation)
	}
	return nil
}

// mustBeAdmin refuses all others, and tells the log who is let through: what is
// logged of the work itself does not say whose it is.
func (s *server) mustBeAdmin(ctx context.Context, operation string) error {
	if peer := peerOf(ctx); peer.Admin() {
		s.Log.InfoContext(ctx, "admin call", slog.String("operation", operation), slog.String("peer", peer.String()),
			slog.String("from", fromOf(ctx)), slog.Bool("audit", true))
		return nil
	}
	return s.refuse(ctx, operation, fmt.Sprintf("%s is for admins: use the controller's socket, or a certificate with the organisation %s",
		operation, mtls.AdminOrganisation))
}

// standing refuses who has no certificate that counts.
func (s *server) standing(ctx context.Context, operation string, peer mtls.Peer, who access) error {
	switch {
	case peer.Why != "":
		return s.refuse(ctx, operation, peer.Why)
	case peer.Role == mtls.Nobody:
		return s.refuse(ctx, operation, operation+" needs a certificate: an agent gets one by nicferry-agent join, a person by nicferry certificate create; root may use the controller's socket")
	case peer.Expired && who != itself:
		return s.refuse(ctx, operation, fmt.Sprintf("the certificate of %s ended at %s; the agent gets a new one by itself if its clock is right",
			peer, peer.Until.UTC().Format(time.RFC3339)))
	}
	err := s.Trust.Check(ctx, peer)
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.CodeRefused {
		return s.refuse(ctx, operation, e.Message)
	}
	if err == nil {
		s.shown.note(peer)
	}
	return err
}

// mayActAs refuses the caller unless it is the node, or an admin.
func (s *server) mayActAs(ctx context.Context, operation, node string) error {
	peer := peerOf(ctx)
	if peer.Is(node) {
		return nil
	}
	name := "nobody"
	if len(peer.Names) > 0 {
		name = fmt.Sprintf("%.200q", strings.Join(peer.Names, ", "))
	}
	return s.refuse(ctx, operation, fmt.Sprintf("the certificate is made out for %s and may not act as node %.80q; give the agent its own certificate, or set its node's name",
		name, node))
}

// refuse tells log and events of a refusal, and is its error.
func (s *server) refuse(ctx context.Context, operation, why string) error {
	s.tellRefused(peerOf(ctx), operation, why)
	return s.logRefused(ctx, operation, why)
}

// refuseToken is refuse for a join. Whose the token is, is told where its secret has
// proved it; what it says of itself proves nothing.
func (s *server) refuseToken(ctx context.Context, err error, why string) error {
	t, ok := errors.AsType[*api.TokenRefusal](err)
	if !ok {
		return s.refuse(ctx, joinOperation, why)
	}
	s.tellRefusedToken(t)
	return s.logRefused(ctx, joinOperation, why, slog.String("node", t.Node), slog.String("token", t.ID))
}

func (s *server) logRefused(ctx context.Context, operation, why string, of ...slog.Attr) error {
	peer, level := peerOf(ctx), slog.LevelWarn
	if peer.Role == mtls.Nobody && operation != joinOperation && !s.noise.Allow() { // joins are bounded
		level = slog.LevelDebug
	}
	s.Log.LogAttrs(ctx, level, "call refused", append([]slog.Attr{
		slog.String("operation", operation), slog.String("peer", peer.String()),
		slog.String("from", fromOf(ctx)), slog.String("why", why), slog.Bool("audit", true),
	}, of...)...)
	return &api.Error{Code: api.CodeRefused, Message: why}
}
