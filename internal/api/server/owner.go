package server

import (
	"context"
	"fmt"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// maySee refuses the caller unless it may look at everything, or is the node that
// the thing is of. A node is told the same of what is another's and of what is not
// there.
func (s *server) maySee(ctx context.Context, operation, what, node string) error {
	peer := peerOf(ctx)
	if peer.Sees() || node != "" && peer.Itself(node) {
		return nil
	}
	return s.refuse(ctx, operation, fmt.Sprintf("%.100s is not for %.200s to see: a node sees what is its own, viewers and admins see everything", what, peer))
}

// sight is what was found, for whoever may see it: node is whose it is.
func sight[T any](ctx context.Context, s *server, operation, what string, found T, err error, node string) (T, error) {
	if err != nil {
		node = ""
	}
	if refusal := s.maySee(ctx, operation, what, node); refusal != nil {
		var nothing T
		return nothing, refusal
	}
	return found, err
}

// mayRelease refuses the caller unless the claim is its node's. A claim that is
// gone is anybody's to release, and one on the move its target's: nothing is to be
// done then. One that was the caller's by an older epoch has moved on, and its former
// owner has to learn that. Nobody knows an epoch that is yet to come: it would be that
// of whoever has the claim by then.
func (s *server) mayRelease(ctx context.Context, id nic.ClaimID, epoch uint64) (todo bool, err error) {
	peer := peerOf(ctx)
	if peer.Admin() {
		return true, nil
	}
	claim, err := s.Backend.Claim(ctx, id)
	switch {
	case err != nil && s.codeOf(err) == api.CodeNotFound:
		return false, nil
	case err != nil:
		return false, err
	case claim.Move != nil && !peer.Is(claim.Owner.Node) && peer.Is(claim.Move.To.Node): // its move decides
		return false, nil
	case claim.Move != nil && peer.Is(claim.Owner.Node) && epoch > claim.Epoch:
		return false, nil
	case !peer.Is(claim.Owner.Node) && epoch < claim.Epoch:
		return false, &api.Error{
			Code: api.CodeConflict, Claim: id,
			Message: fmt.Sprintf("release: epoch %d of claim %s is stale: the claim has moved on; ask what is wanted", epoch, id),
		}
	case !peer.Is(claim.Owner.Node): // whose it is, is not the caller's to know
		return false, s.refuse(ctx, "release", fmt.Sprintf("claim %s is not one of %.200s", id, peer))
	}
	return true, nil
}
