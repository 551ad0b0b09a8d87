package dhcp6

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/insomniacslk/dhcp/rfc1035label"

	"github.com/nicferry/nicferry/nic"
)

var (
	sentAt = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	iaid   = [4]byte{1, 2, 3, 4}
)

// given is an IA with one address, for an hour.
func given(addr string) *dhcpv6.OptIANA {
	ia := &dhcpv6.OptIANA{IaId: iaid}
	ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP(addr), PreferredLifetime: time.Hour, ValidLifetime: 2 * time.Hour})
	return ia
}

// replyOf is what a server says.
func replyOf(options ...dhcpv6.Option) *dhcpv6.Message {
	m := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply}
	m.AddOption(dhcpv6.OptServerID(&dhcpv6.DUIDUUID{}))
	for _, o := range options {
		m.AddOption(o)
	}
	return m
}

func search(names ...string) dhcpv6.Option {
	return dhcpv6.OptDomainSearchList(&rfc1035label.Labels{Labels: names})
}

func TestParseReply(t *testing.T) {
	l, err := ParseReply(replyOf(given("fd00::7"),
		dhcpv6.OptDNS(net.ParseIP("fd00::53"), net.ParseIP("2001:db8::53"), net.ParseIP("fd00::53")),
		search("lab.example", "corp.example")), iaid, netip.Addr{}, sentAt)
	if err != nil {
		t.Fatal(err)
	}
	if l.Addr.String() != "fd00::7/128" || !l.T1.Equal(sentAt.Add(30*time.Minute)) || !l.T2.Equal(sentAt.Add(48*time.Minute)) ||
		!l.Expires.Equal(sentAt.Add(2*time.Hour)) || !l.Preferred.Equal(sentAt.Add(time.Hour)) || len(l.DNS) != 2 ||
		!slices.Equal(l.Search, []string{"lab.example", "corp.example"}) || len(l.Notes) != 0 || !l.Usable(sentAt) {
		t.Errorf("got %+v", l)
	}
}

func TestParseReplyRefuses(t *testing.T) {
	addr := func(edit func(*dhcpv6.OptIANA, *dhcpv6.OptIAAddress)) dhcpv6.Option {
		ia := given("fd00::7")
		edit(ia, ia.Options.OneAddress())
		return ia
	}
	status := func(code iana.StatusCode) *dhcpv6.OptStatusCode {
		return &dhcpv6.OptStatusCode{StatusCode: code, StatusMessage: "\x1b]0;" + strings.Repeat("x", 300)}
	}
	for want, test := range map[string]struct {
		option  dhcpv6.Option
		refused bool
	}{
		"nothing about our address": {search("a"), false},
		"no address":                {&dhcpv6.OptIANA{IaId: iaid}, false},
		"NoAddrsAvail":              {status(iana.StatusNoAddrsAvail), true},
		"status 1":                  {status(iana.StatusUnspecFail), false},
		"NoBinding":                 {addr(func(ia *dhcpv6.OptIANA, _ *dhcpv6.OptIAAddress) { ia.Options.Add(status(iana.StatusNoBinding)) }), true},
		"NotOnLink":                 {addr(func(_ *dhcpv6.OptIANA, a *dhcpv6.OptIAAddress) { a.Options.Add(status(iana.StatusNotOnLink)) }), true},
		"has no time left":          {addr(func(_ *dhcpv6.OptIANA, a *dhcpv6.OptIAAddress) { a.PreferredLifetime, a.ValidLifetime = 0, 0 }), true},
		"lease time 1s":             {addr(func(_ *dhcpv6.OptIANA, a *dhcpv6.OptIAAddress) { a.PreferredLifetime, a.ValidLifetime = 0, time.Second }), false},
		"preferred for 3h0m0s":      {addr(func(_ *dhcpv6.OptIANA, a *dhcpv6.OptIAAddress) { a.PreferredLifetime = 3 * time.Hour }), false},
		":: cannot be":              {given("::"), false},
		"::1 cannot be":             {given("::1"), false},
		"::ffff:10.0.0.1 cannot be": {given("10.0.0.1"), false},
		"::a00:1 cannot be":         {given("::a00:1"), false},
		"fe80::1 cannot be":         {given("fe80::1"), false},
		"ff02::1 cannot be":         {given("ff02::1"), false},
		"without a sound server id": {dhcpv6.OptServerID(&dhcpv6.DUIDOpaque{Type: 9}), false},
	} {
		m := replyOf()
		m.Options.Update(test.option)
		l, err := ParseReply(m, iaid, netip.Addr{}, sentAt)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrRefused) != test.refused {
			t.Errorf("want an error with %q, refused %t; got %v and %+v", want, test.refused, err, l)
		}
		if err != nil && (len(err.Error()) > 400 || strings.ContainsFunc(err.Error(), unicode.IsControl)) {
			t.Errorf("the server's text came through: %q", err)
		}
	}
	if _, err := ParseReply(replyOf(given("fd00::7")), iaid, netip.MustParseAddr("fd00::8"), sentAt); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("another address: got %v, want an error that takes nothing away", err)
	}
}

// S8, S9: what is unsound besides the address is left out and told.
func TestS8_HostileOptionsAreLeftOut(t *testing.T) {
	late := given("fd00::7")
	late.T1, late.T2 = 3*time.Hour, 4*time.Hour
	for note, options := range map[string][]dhcpv6.Option{
		"DNS server ::1 ignored: not a host's address":     {given("fd00::7"), dhcpv6.OptDNS(net.IPv6loopback)},
		"DNS server fe80::1 ignored: not a host's address": {given("fd00::7"), dhcpv6.OptDNS(net.ParseIP("fe80::1"))},
		"search domain \"a\\nnameserver fd00::66\": want dotted labels of letters, digits and inner '-'": {
			given("fd00::7"), search("a\nnameserver fd00::66"),
		},
		"renewal after 3h0m0s and 4h0m0s of 2h0m0s replaced by the usual 30m0s and 48m0s": {late},
	} {
		l, err := ParseReply(replyOf(options...), iaid, netip.Addr{}, sentAt)
		if err != nil || !slices.Equal(l.Notes, []string{note}) || len(l.DNS)+len(l.Search) > 0 || !l.T1.Equal(sentAt.Add(30*time.Minute)) {
			t.Errorf("want note %q; got %+v, %v", note, l, err)
		}
	}
}

func TestIdentity(t *testing.T) {
	duid := ClaimDUID(claim)
	if len(duid) != 18 || duid[1] != 4 || duid[8]>>4 != 8 || !slices.Equal(duid, ClaimDUID(claim)) || slices.Equal(duid, ClaimDUID("clm-00112233445566fe")) {
		t.Errorf("DUID %s: want a UUID of version 8, the claim's own", duid)
	}
	if want := strings.ReplaceAll(claimDUID, ":", ""); duid.String() != want {
		t.Errorf("DUID %s, want %s: servers know claims by it", duid, want)
	}
	if got := InterfaceIAID("eth0"); got == InterfaceIAID("eth1") || got != [4]byte{0x67, 0xb1, 0x97, 0x24} {
		t.Errorf("IAID %x of eth0: servers know interfaces by it", got)
	}
}

func TestUsableLease(t *testing.T) {
	good, err := ParseReply(replyOf(given("fd00::7")), iaid, netip.Addr{}, sentAt)
	if err != nil {
		t.Fatal(err)
	}
	if !good.Usable(sentAt.Add(119*time.Minute)) || good.Usable(sentAt.Add(2*time.Hour)) {
		t.Error("a lease of two hours is usable for two hours")
	}
	var none *Lease
	noServer, four := good, good
	noServer.Server, four.Addr = nil, netip.MustParsePrefix("10.0.0.1/24")
	for name, l := range map[string]*Lease{"nil": none, "zero": {}, "no server": &noServer, "IPv4": &four} {
		if l.Usable(sentAt) {
			t.Errorf("%s: is usable", name)
		}
	}
}

// Whatever a server sends, what comes out is sound and survives the cache.
func FuzzParseReply(f *testing.F) {
	f.Add(replyOf(given("fd00::7"), dhcpv6.OptDNS(net.ParseIP("fd00::53")), search("lab.example")).ToBytes())
	f.Add(replyOf(given("fe80::7"), search("a;b")).ToBytes())
	f.Add([]byte{7, 0, 0, 0, 0, 24, 0, 2, 0xc0, 0})
	f.Fuzz(func(t *testing.T, packet []byte) {
		m, err := decode(packet[:min(len(packet), maxMessage)])
		if err != nil {
			return
		}
		l, err := ParseReply(m, iaid, netip.Addr{}, sentAt)
		if err != nil {
			if len(err.Error()) > 900 || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("error %q", err)
			}
			return
		}
		if !l.Usable(sentAt) || !isHost(l.Addr.Addr()) || !l.T1.Before(l.T2) || !l.T2.Before(l.Expires) || l.Preferred.After(l.Expires) ||
			slices.ContainsFunc(l.Search, func(s string) bool { return nic.CheckDomain(s) != nil }) {
			t.Errorf("not sound: %+v", l)
		}
		b, err := json.Marshal(l)
		var back Lease
		if err != nil || json.Unmarshal(b, &back) != nil || !back.Usable(sentAt) {
			t.Errorf("does not survive JSON (%v): %s", err, b)
		}
	})
}
