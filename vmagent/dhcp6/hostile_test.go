package dhcp6

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

func TestStartNamesWhatIsMissing(t *testing.T) {
	if _, err := Start(Options{DUID: ClaimDUID(claim)}); err == nil || !strings.Contains(err.Error(), "Listen") {
		t.Errorf("without Listen: %v", err)
	}
	if _, err := Start(Options{Listen: (&lan{}).listen}); err == nil || !strings.Contains(err.Error(), "DUID") {
		t.Errorf("without DUID: %v", err)
	}
}

// Answers that are not for us, or not sound, change nothing.
func TestForeignAnswersAreIgnored(t *testing.T) {
	for name, change := range map[string]func(*dhcpv6.Message){
		"another transaction": func(m *dhcpv6.Message) { m.TransactionID[0]++ },
		"another client": func(m *dhcpv6.Message) {
			m.Options.Update(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID, OptionData: ClaimDUID("clm-other")})
		},
		"no client":        func(m *dhcpv6.Message) { m.Options.Del(dhcpv6.OptionClientID) },
		"no server":        func(m *dhcpv6.Message) { m.Options.Del(dhcpv6.OptionServerID) },
		"no address":       func(m *dhcpv6.Message) { m.Options.Del(dhcpv6.OptionIANA) },
		"no rapid commit":  func(m *dhcpv6.Message) { m.Options.Del(dhcpv6.OptionRapidCommit) },
		"a request":        func(m *dhcpv6.Message) { m.MessageType = dhcpv6.MessageTypeRequest },
		"another identity": func(m *dhcpv6.Message) { m.Options.OneIANA().IaId[0]++ },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, good := newServer(6, "fd00:66::66"), newServer(1, "fd00:77::100")
				bad.change, good.delay = change, 100*time.Millisecond
				c := newClient(t, &lan{servers: []*fakeServer{bad, good}}, Options{})
				after(200 * time.Millisecond)
				c.wantBound("fd00:77::100/128")
			})
		})
	}
}

// Only what we read is decoded, and not much of it: the library would spend
// milliseconds on a kilobyte of compressed names.
func TestDecodeBounds(t *testing.T) {
	long := make([]byte, maxOption+1)
	m := replyOf(given("fd00::7"), dhcpv6.OptDNS(net.ParseIP("fd00::53")),
		&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionDomainSearchList, OptionData: long},
		&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientLinkLayerAddr, OptionData: []byte{1}}, // would not parse
	)
	got, err := decode(m.ToBytes())
	if err != nil {
		t.Fatal(err)
	}
	var codes []dhcpv6.OptionCode
	for _, o := range got.Options.Options {
		codes = append(codes, o.Code())
	}
	if !slices.Equal(codes, []dhcpv6.OptionCode{dhcpv6.OptionServerID, dhcpv6.OptionIANA, dhcpv6.OptionDNSRecursiveNameServer}) {
		t.Errorf("decoded %v", codes)
	}
	if l, err := ParseReply(got, iaid, netip.Addr{}, sentAt); err != nil || len(l.DNS) != 1 {
		t.Errorf("got %+v, %v", l, err)
	}
	for _, bad := range [][]byte{nil, {7}, {7, 0, 0}, {7, 0, 0, 0, 0}, {7, 0, 0, 0, 0, 1, 0, 9, 1}} {
		if m, err := decode(bad); err == nil {
			t.Errorf("% x was decoded as %s", bad, m.Summary())
		}
	}
}
