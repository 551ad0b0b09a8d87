package vmagent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// auditMembers tells of the members of a bond that have no link.
func (a *Agent) auditMembers(ctx context.Context, p *plug, w nic.Wanted, said *nic.Observed) error {
	if w.Device.Kind != nic.Bonded {
		return nil
	}
	a.watchLinks(p, w)
	all, err := a.maker.Members(ctx, w.NIC, w.Device, p.ns)
	if err != nil {
		return err
	}
	if p.functions.failures == nil {
		p.functions.failures = map[string]int{}
	}
	var down, up []string
	for i, m := range all {
		what := fmt.Sprintf("VF %s of PF %s", m.PCI, w.Device.Bond.Members[i].PF)
		if fresh := m.Failures - p.functions.failures[m.PCI]; m.Joined && fresh != 0 {
			a.opts.Observer.MemberFailed(w.Network, max(fresh, 0))
			p.functions.failures[m.PCI] = m.Failures
		}
		switch {
		case !m.Joined:
			down = append(down, what+" is not in the bond")
		case !m.Up:
			down = append(down, what+" has no link")
		default:
			up = append(up, what)
		}
	}
	p.showMembers(len(up), len(down))
	p.functions.fresh = len(down) > 0 && time.Since(p.functions.watch.since) < linkSettles
	if len(down) == 0 || p.functions.fresh {
		p.functions.downText = ""
		return nil
	}
	text := strings.Join(down, ", ") + "; the bond goes on over " + strings.Join(up, ", ")
	if len(up) == 0 {
		text = strings.Join(down, ", ") + "; the bond carries nothing"
	}
	nic.SetCondition(&said.Conditions, nic.Condition{Reason: nic.ReasonMemberDown, Message: text})
	if p.functions.downText != text {
		a.opts.Log.Warn("member of a bond is down", "nic", w.NIC, "claim", w.Claim, "container", w.Container, "what", text)
	}
	p.functions.downText = text
	return nil
}

// showMembers lets others see how many members a bond has that are up and down.
func (p *plug) showMembers(up, down int) {
	p.inside.mu.Lock()
	defer p.inside.mu.Unlock()
	p.inside.membersUp, p.inside.membersDown = up, down
}
