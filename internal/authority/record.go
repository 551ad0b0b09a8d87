package authority

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// Where the records are.
const (
	tokenPrefix = "trust/token/"
	nodePrefix  = "trust/node/"
)

// tokenRecord is a token that has not been used.
type tokenRecord struct {
	Schema int `json:"schema"`
	api.Token
	// Hash is the SHA-256 of the secret, in hex.
	Hash string `json:"hash"`
}

// nodeRecord is what may be trusted of a node.
type nodeRecord struct {
	Schema int    `json:"schema"`
	Node   string `json:"node"`
	// Join counts the node's joins. Certificates of older ones count for nothing.
	Join uint64 `json:"join"`
	// Revoked is when an operator said so; zero if not, or if it has joined since.
	Revoked time.Time `json:"revoked,omitzero"`
	// Used is the token of the last join, for who did not hear the answer.
	Used *usedToken `json:"used,omitempty"`
}

// usedToken is a token that a node has joined with.
type usedToken struct {
	ID        string                    `json:"id"`
	Hash      string                    `json:"hash"`
	Key       string                    `json:"key"` // the thumb of the key that it was used with
	Instances map[string]nic.InstanceID `json:"instances,omitempty"`
	At        time.Time                 `json:"at"`
	Expires   time.Time                 `json:"expires"`
}

// hashOf is the SHA-256 of a secret, in hex. Secrets are long and random.
func hashOf(secret api.Secret) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// sameHash compares in a time that says nothing.
func sameHash(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// node reads a node's record; one that is not there is empty, at revision 0.
func (a *Authority) node(ctx context.Context, name string) (nodeRecord, store.Rev, error) {
	rec, rev, err := store.GetJSON[nodeRecord](ctx, a.opts.Store, nodePrefix+name)
	if errors.Is(err, store.ErrNotFound) {
		return nodeRecord{Schema: 1, Node: name}, 0, nil
	}
	if err != nil {
		return rec, 0, fmt.Errorf("read what is trusted of node %s: %w", name, err)
	}
	return rec, rev, nil
}

// mayJoin refuses a node that the config does not let in, or gives other
// instances than when the token was made.
func (a *Authority) mayJoin(node string, promised map[string]nic.InstanceID) error {
	now, ok := a.opts.Instances(node)
	switch {
	case !ok:
		return refused("node %s is not in nodes: of the controller's config; put it there, or join as a node that is", node)
	case !maps.Equal(now, promised):
		return refused("the controller's config gives node %s other instances than when the token was made (%v, and now %v); if that is right, make a new token: nicferry token create --node %s",
			node, promised, now, node)
	}
	return nil
}
