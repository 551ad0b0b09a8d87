//go:build linux

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/nic"
)

func TestAudit(t *testing.T)  { script(t, "audit") }
func TestForget(t *testing.T) { script(t, "forget") }

// harm KIND [CONTAINER] breaks a record by hand, as no API does. The controller
// is stopped for that.
//
//	lose-nic WEB     the record of the container's NIC
//	lose-claim WEB   the record of its claim, and of its NIC
//	ghost WEB        its claim is of a node that is not there
//	cut WEB          its veth, on the node
func (r *rig) harm(ctx context.Context, args ...string) (string, error) {
	if len(args) != 2 {
		return "", fmt.Errorf("harm %q: want a kind and a container", args)
	}
	if args[0] == "cut" {
		id, err := r.nicOf(ctx, args[1])
		if err == nil {
			_, err = r.onNode(ctx, "ip", "link", "del", id.LinkName("nf"))
		}
		return "", err
	}
	if err := r.programs.Stop(ctx, "controller"); err != nil {
		return "", err
	}
	records, err := boltstore.Open(ctx, r.file("nicferry.db"), boltstore.Options{})
	if err != nil {
		return "", err
	}
	err = harmRecords(ctx, records, args[0], args[1])
	if closeErr := records.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return "", err
	}
	return r.start(ctx, "controller")
}

func harmRecords(ctx context.Context, records store.Store, kind, container string) error {
	claims, _, err := store.ListJSON[nic.Claim](ctx, records, "claim/", "", 0)
	if err != nil {
		return err
	}
	for _, c := range claims {
		if c.Value.Container != container {
			continue
		}
		held, err := records.Get(ctx, "nic/"+string(c.Value.NIC))
		if err != nil {
			return err
		}
		ops := []store.Op{store.Delete(held.Key, held.Rev)}
		switch kind {
		case "lose-nic":
		case "lose-claim":
			ops = append(ops, store.Delete(c.Key, c.Rev))
		case "ghost":
			ghost := c.Value
			ghost.ID, ghost.NIC, ghost.Identity, ghost.Phase = nic.NewClaimID(), "", nic.Identity{}, nic.ClaimPending
			ghost.Owner.Node, ghost.Container = "gone", "ghost"
			claim, err := store.UpdateJSON("claim/"+string(ghost.ID), ghost, 0)
			if err != nil {
				return err
			}
			owner, err := store.UpdateJSON("owner/"+ghost.Owner.Key(), ghost.ID, 0)
			if err != nil {
				return err
			}
			ops = []store.Op{claim, owner}
		default:
			return fmt.Errorf("no harm %q", kind)
		}
		_, err = records.Commit(ctx, ops...)
		return err
	}
	return fmt.Errorf("no claim of container %q", container)
}

// audit prints what differs, which is an error of the command's and not of ours.
func (r *rig) audit(ctx context.Context, args ...string) (string, error) {
	out, err := r.nicferry(ctx, append([]string{"audit"}, args...)...)
	if strings.Contains(out, "FINDING") {
		err = nil
	}
	return out, err
}

// nicOf is the NIC that a container has, by the table of claims.
func (r *rig) nicOf(ctx context.Context, container string) (nic.ID, error) {
	out, err := r.nicferry(ctx, "get", "claims", container, "--no-headers")
	if err != nil {
		return "", err
	}
	for _, word := range strings.Fields(out) {
		if id, err := nic.ParseID(word); err == nil {
			return id, nil
		}
	}
	return "", fmt.Errorf("container %s has no NIC: %s", container, out)
}
