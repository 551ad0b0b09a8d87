//go:build linux

package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// audit asks for an audit, with --fix or without, and returns what it finds.
func (r *rig) audit(ctx context.Context, args ...string) ([]api.Finding, error) {
	out, err := r.CLI(ctx, append([]string{"audit", "-o", "json"}, args...)...)
	var audit api.Audit
	if jsonErr := json.Unmarshal([]byte(out), &audit); jsonErr != nil {
		return nil, fmt.Errorf("audit: %w: %w", err, jsonErr)
	}
	return audit.Findings, nil // an exit code of 1 says that there are some
}

// finds waits until the audit names what is looked for.
func (r *rig) finds(what string, is func(api.Finding) bool, args ...string) api.Finding {
	r.t.Helper()
	var found api.Finding
	r.until("the audit to name "+what, patience, func(ctx context.Context) error {
		all, err := r.audit(ctx, args...)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, is)
		if at < 0 {
			return fmt.Errorf("it finds %+v", all)
		}
		found = all[at]
		return nil
	})
	return found
}

// plugByHand has virsh plug a card into a domain, and takes it out again at the
// test's end.
func (r *rig) plugByHand(domain string, card virt.Interface) (unplug func()) {
	r.t.Helper()
	text, err := virt.MarshalInterface(card)
	r.must(err)
	path := filepath.Join(r.t.TempDir(), "card.xml")
	r.must(os.WriteFile(path, []byte(text), 0o600))
	r.virsh("attach-device", domain, path, "--live")
	return func() {
		r.t.Helper()
		if strings.Contains(r.virsh("dumpxml", domain), card.Alias) {
			r.virsh("detach-device-alias", domain, card.Alias, "--live")
		}
		r.until(domain+" to let "+card.Alias+" go", patience, func(context.Context) error {
			if strings.Contains(r.virsh("dumpxml", domain), card.Alias) {
				return errLeft
			}
			return nil
		})
	}
}

// What virsh has changed behind our back is named, and mended but for what is
// not ours.
func TestAuditAfterVirsh(t *testing.T) {
	r := use(t)
	r.run(r.node(1), "web", "--label", "nicferry.network=fixed")
	web := r.eth0(r.node(1), "web")
	id := r.claimed("web", nic.ClaimBound).NIC
	if found, err := r.audit(t.Context()); err != nil || len(found) > 0 {
		t.Fatalf("before anything is broken the audit finds %+v, %v", found, err)
	}
	about := func(kind api.FindingKind, id nic.ID) func(api.Finding) bool {
		return func(f api.Finding) bool { return f.Kind == kind && f.NIC == id }
	}

	// A card with an alias of ours and no record, as another controller's would
	// be, and one with a MAC of ours and no alias: they are told, and stay.
	stray := nic.NewID()
	strayOut := r.plugByHand("vm2", virt.Interface{Alias: aliasPrefix + string(stray), MAC: nic.NewMAC(), Port: lanPort()})
	defer strayOut()
	foreignMAC := nic.NewMAC()
	foreignOut := r.plugByHand("vm2", virt.Interface{Alias: "ua-foreign", MAC: foreignMAC, Port: lanPort()})
	defer foreignOut()
	if f := r.finds("the card without a record", about(api.FindingUnrecorded, stray), "--fix"); f.Fixed || !strings.Contains(f.Message, "virsh detach-device-alias") {
		t.Errorf("%+v; want it told, with the command that takes it out", f)
	}
	r.finds("the foreign card", func(f api.Finding) bool {
		return f.Kind == api.FindingForeign && strings.Contains(f.Message, foreignMAC.String()) && !f.Fixed && f.Remedy == ""
	}, "--fix")
	for _, alias := range []string{aliasPrefix + string(stray), "ua-foreign"} {
		if !strings.Contains(r.virsh("dumpxml", "vm2"), alias) {
			t.Errorf("%s is gone, and was not ours to take", alias)
		}
	}
	strayOut()
	foreignOut()

	// Our own card, plugged with virsh into another guest as well.
	live, _ := r.cards("vm1")
	twin := live[0]
	twin.Address, twin.Target = "", ""
	twinOut := r.plugByHand("vm2", twin)
	defer twinOut()
	r.finds("the card in two guests", about(api.FindingNotAtProvider, id))
	r.finds("the card in two guests", func(f api.Finding) bool { return f.NIC == id && f.Fixed }, "--fix")
	r.until("vm2 to be rid of it", patience, func(context.Context) error {
		if live, _ := r.cards("vm2"); len(live) > 0 {
			return errLeft
		}
		return nil
	})

	// Unplugged with virsh: it is plugged in again, the same card.
	r.virsh("detach-device-alias", "vm1", aliasPrefix+string(id), "--live", "--config")
	r.finds("the card that is unplugged", about(api.FindingNotAtProvider, id), "--fix")
	r.until("web to have its NIC again", patience, func(ctx context.Context) error {
		found, err := r.audit(ctx)
		if err == nil && len(found) > 0 {
			err = fmt.Errorf("the audit finds %+v", found)
		}
		return err
	})
	if now := r.eth0(r.node(1), "web"); now.MAC != web.MAC || now.Addr != web.Addr {
		t.Errorf("web has %+v, and had %+v", now, web)
	}
	r.pings(web.Addr.Addr())
}
