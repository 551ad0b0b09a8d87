//go:build linux

package link

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// rulePriority is that of our rules: after the kernel's rule for local
// addresses (0), before the one for the main table (32766).
const rulePriority = 15700

// A Rule sends packets from one source to a routing table.
type Rule struct {
	// From is the source; a single address has its full length.
	From  netip.Prefix
	Table int
}

// String is as iproute2 writes it.
func (r Rule) String() string { return fmt.Sprintf("from %s lookup %d", r.From, r.Table) }

// Rules lists our rules of both families.
func (h *Handle) Rules() ([]Rule, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETRULE, 0)
	req.AddData(&nl.RtMsg{}) // fib_rule_hdr has the same layout
	msgs, err := h.dump(req, unix.RTM_NEWRULE)
	if err != nil {
		return nil, fmt.Errorf("list rules of %s: %w", h.ns.ID(), err)
	}
	var rules []Rule
	for _, m := range msgs {
		r, ours, err := parseRule(m)
		if err != nil {
			return nil, fmt.Errorf("list rules of %s: %w", h.ns.ID(), err)
		}
		if ours {
			rules = append(rules, r)
		}
	}
	return rules, nil
}

func parseRule(m []byte) (r Rule, ours bool, err error) {
	if len(m) < unix.SizeofRtMsg {
		return Rule{}, false, errors.New("answer is too short")
	}
	head := nl.DeserializeRtMsg(m)
	attrs, err := nl.ParseRouteAttr(m[unix.SizeofRtMsg:])
	if err != nil {
		return Rule{}, false, err
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case nl.FRA_SRC:
			from, _ := netip.AddrFromSlice(a.Value)
			r.From = netip.PrefixFrom(from, int(head.Src_len))
		case nl.FRA_TABLE:
			r.Table = int(uint32(number(a.Value)))
		case fraProtocol:
			ours = len(a.Value) == 1 && a.Value[0] == Protocol
		}
	}
	return r, ours && r.From.IsValid(), nil
}

// AddRule makes a rule of ours. One that is there already is no error.
func (h *Handle) AddRule(r Rule) error {
	err := h.write(ruleRequest(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, r))
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("add rule %s: %w", r, err)
	}
	return nil
}

// DelRule removes a rule of ours. One that is not there is no error.
func (h *Handle) DelRule(r Rule) error {
	err := h.write(ruleRequest(unix.RTM_DELRULE, 0, r))
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete rule %s: %w", r, err)
	}
	return nil
}

// fraProtocol is FRA_PROTOCOL, linux/fib_rules.h.
const fraProtocol = 21

func ruleRequest(verb, flags int, r Rule) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(verb, flags)
	msg := &nl.RtMsg{}
	msg.Family = uint8(family(r.From.Addr()))
	msg.Src_len = uint8(r.From.Bits())
	msg.Type = nl.FR_ACT_TO_TBL
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(nl.FRA_SRC, r.From.Addr().AsSlice()))
	req.AddData(tableAttr(nl.FRA_TABLE, r.Table))
	req.AddData(nl.NewRtAttr(nl.FRA_PRIORITY, nl.Uint32Attr(rulePriority)))
	req.AddData(nl.NewRtAttr(fraProtocol, nl.Uint8Attr(Protocol)))
	return req
}
