package announce

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/nicferry/nicferry/nic"
)

func must(frame []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return frame
}

// patch returns a copy with one byte changed.
func patch(frame []byte, at int, b byte) []byte {
	frame = slices.Clone(frame)
	frame[at] = b
	return frame
}

func TestHear(t *testing.T) {
	v4, v6 := addr4.Addr(), addr6.Addr()
	garp, na := must(noticeFrame(otherMAC, v4)), must(noticeFrame(otherMAC, v6))
	plain := must(ndpFrame(otherMAC, v6, allNodes, &ndp.NeighborAdvertisement{TargetAddress: v6}))
	strange := must(ndpFrame(otherMAC, v6, allNodes, &ndp.RouterAdvertisement{}))
	for name, test := range map[string]struct {
		frame []byte
		want  word
	}{
		"gratuitous ARP":       {garp, word{v4, otherMAC, false}},
		"ARP reply":            {must(replyFrame(otherMAC, v4)), word{v4, otherMAC, false}},
		"ARP probe":            {must(probeFrame(otherMAC, v4)), word{v4, otherMAC, true}},
		"padded":               {append(slices.Clone(garp), make([]byte, 18)...), word{v4, otherMAC, false}},
		"MAC in the body":      {patch(garp, 11, 9), word{v4, otherMAC, false}},
		"advertisement":        {na, word{v6, otherMAC, false}},
		"without option":       {plain, word{v6, otherMAC, false}},
		"IPv6 probe":           {must(probeFrame(otherMAC, v6)), word{v6, otherMAC, true}},
		"IPv6 request":         {must(requestFrame(otherMAC, gw6, v6)), word{}},
		"our own ARP":          {must(noticeFrame(ourMAC, v4)), word{}},
		"our own NA":           {must(noticeFrame(ourMAC, v6)), word{}},
		"our MAC in the body":  {patch(must(noticeFrame(ourMAC, v4)), 11, 9), word{}},
		"router advertisement": {strange, word{}},
		"hop limit 254":        {patch(na, etherHeader+7, 254), word{}},
		"bad checksum":         {patch(na, etherHeader+ipv6Header+2, na[etherHeader+ipv6Header+2]+1), word{}},
		"ICMPv6 code":          {patch(na, etherHeader+ipv6Header+1, 1), word{}},
		"ARP of length 7":      {patch(garp, etherHeader+4, 7), word{}},
		"InfiniBand":           {patch(garp, etherHeader+1, 32), word{}},
		"reverse ARP":          {patch(garp, etherHeader+7, 3), word{}},
		"cut ARP":              {garp[:30], word{}},
		"cut NA":               {na[:60], word{}},
		"empty":                {nil, word{}},
	} {
		if got, ok := hear(test.frame, ourMAC); got != test.want && ok || ok != (test.want != word{}) {
			t.Errorf("%s: heard %+v, %t; want %+v", name, got, ok, test.want)
		}
	}
}

// A claim without a usable MAC is its sender's.
func TestHearNonsenseMAC(t *testing.T) {
	for _, mac := range []nic.MAC{{}, broadcast, {1, 2, 3, 4, 5, 6}} {
		frame := must(arpFrame(arp.OperationReply, mac, addr4.Addr(), ourMAC, gw4))
		copy(frame[6:], otherMAC[:])
		if got, ok := hear(frame, ourMAC); !ok || got.mac != otherMAC {
			t.Errorf("body says %s: heard %+v, %t", mac, got, ok)
		}
		copy(frame[6:], mac[:])
		if got, ok := hear(frame, ourMAC); ok {
			t.Errorf("nobody's frame: heard %+v", got)
		}
	}
}

func FuzzHear(f *testing.F) {
	for _, addr := range []netip.Addr{addr4.Addr(), addr6.Addr()} {
		f.Add(must(noticeFrame(otherMAC, addr)))
		f.Add(must(probeFrame(otherMAC, addr)))
	}
	f.Add(must(ndpFrame(otherMAC, gw6, allNodes, &ndp.RouterAdvertisement{Options: []ndp.Option{ndp.NewMTU(1500)}})))
	f.Fuzz(func(t *testing.T, frame []byte) {
		w, ok := hear(frame, ourMAC)
		if ok && (!usual(w.addr) || !unicast(w.mac) || w.mac == ourMAC) {
			t.Errorf("heard %+v in %x", w, frame)
		}
	})
}
