//go:build linux

package etc

import (
	"net/netip"
	"strings"
	"testing"
)

func addrs(list ...string) []netip.Addr {
	var all []netip.Addr
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

// What Docker 20.10 writes for --network none.
const (
	dockerHosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	dockerDNS   = "search host.example\nnameserver 192.0.2.53\noptions ndots:0\n"
)

func full() Wanted {
	return Wanted{
		Servers: addrs("10.77.0.1", "fd77::1"), Search: []string{"lab.example", "example"},
		Hosts: []Host{
			{netip.MustParseAddr("10.77.0.10"), []string{"db.lab.example", "db"}},
			{netip.MustParseAddr("fd77::10"), []string{"db.lab.example", "db"}},
		},
	}
}

func TestEdits(t *testing.T) {
	t.Parallel()
	const servers = begin + "\nnameserver 10.77.0.1\nnameserver fd77::1\n"
	w := full()
	for name, tt := range map[string]struct {
		edit func(string) string
		text string
		want string
	}{
		"hosts after what is there": {
			w.hosts, dockerHosts,
			dockerHosts + begin + "\n10.77.0.10\tdb.lab.example db\nfd77::10\tdb.lab.example db\n" + end + "\n",
		},
		"hosts without a last line end": {
			w.hosts, "127.0.0.1 localhost",
			"127.0.0.1 localhost\n" + begin + "\n10.77.0.10\tdb.lab.example db\nfd77::10\tdb.lab.example db\n" + end + "\n",
		},
		"hosts of nobody": {Wanted{}.hosts, "127.0.0.1 localhost", "127.0.0.1 localhost"},
		"servers and search before the rest, which is turned off": {
			w.resolvConf, dockerDNS,
			servers + "search lab.example example\n" + end + "\n" +
				off + "search host.example\n" + off + "nameserver 192.0.2.53\noptions ndots:0\n",
		},
		"servers only": {
			Wanted{Servers: w.Servers}.resolvConf, dockerDNS,
			servers + end + "\nsearch host.example\n" + off + "nameserver 192.0.2.53\noptions ndots:0\n",
		},
		"search only": {
			Wanted{Search: []string{"lab.example"}}.resolvConf, "domain host.example\nnameserver 192.0.2.53",
			begin + "\nsearch lab.example\n" + end + "\n" + off + "domain host.example\nnameserver 192.0.2.53",
		},
		"the user's --dns-search stays": {
			Wanted{Servers: w.Servers, Search: w.Search, UserSearch: true}.resolvConf, dockerDNS,
			servers + end + "\nsearch host.example\n" + off + "nameserver 192.0.2.53\noptions ndots:0\n",
		},
		"no line that only looks like one": {
			Wanted{Servers: addrs("10.77.0.1")}.resolvConf, "#nameserver 1.1.1.1\n nameserver 1.1.1.1\nnameservers x\nnameserver\t1.1.1.1\n",
			begin + "\nnameserver 10.77.0.1\n" + end + "\n#nameserver 1.1.1.1\n nameserver 1.1.1.1\nnameservers x\n" + off + "nameserver\t1.1.1.1\n",
		},
		"an address written in IPv6's way": {
			Wanted{Servers: addrs("::ffff:10.77.0.1")}.resolvConf, "",
			begin + "\nnameserver 10.77.0.1\n" + end + "\n",
		},
		"nothing wanted":              {Wanted{}.resolvConf, dockerDNS, dockerDNS},
		"an older block is replaced":  {Wanted{Search: []string{"b"}}.resolvConf, begin + "\nsearch a\n" + end + "\nx\n", begin + "\nsearch b\n" + end + "\nx\n"},
		"a block without end":         {strip, "a\n" + begin + "\nb\n", "a\nb\n"},
		"an end without begin":        {strip, "a\n" + end + "\nb\n", "a\nb\n"},
		"two begins":                  {strip, begin + "\na\n" + begin + "\nb\n" + end + "\nc", "a\nc"},
		"an end at the file's end":    {strip, begin + "\na\n" + end, ""},
		"marks that are turned off":   {strip, off + begin + "\na\n" + off + off + end + "\nb\n", "b\n"},
		"marks that are not the line": {strip, " " + begin + "\n" + end + " \n", " " + begin + "\n" + end + " \n"},
	} {
		got := tt.edit(tt.text)
		if got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, tt.want)
		}
		if again := tt.edit(got); again != got {
			t.Errorf("%s: edited again it is\n%s\nwant no change of\n%s", name, again, got)
		}
	}
}

// Whatever a container writes into its files: an edit of an edit changes
// nothing, a text without our marks comes back as it was, and none of our marks
// is left behind.
func FuzzEdits(f *testing.F) {
	for _, seed := range []string{
		"", "\n", dockerDNS, dockerHosts, begin, end + "\n" + begin + "\n", off + begin + "\n" + end,
		strings.Repeat(off, 3) + "nameserver x\n", begin + "\n" + begin + "\nnameserver 1\n" + end + "\n" + end + "\r\n\x00",
		begin + "\nnameserver 10.77.0.1\n" + dockerDNS + end + "\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		plain := strip(text)
		if strip(plain) != plain {
			t.Fatalf("strip of %q leaves something to strip: %q", text, plain)
		}
		for name, edit := range map[string]func(string) string{"resolvConf": full().resolvConf, "hosts": full().hosts} {
			once := edit(text)
			if again := edit(once); again != once {
				t.Errorf("%s of %q: %q and then %q", name, text, once, again)
			}
			if back := strip(once); back != plain && back != plain+"\n" {
				t.Errorf("%s of %q, taken out: %q, want %q", name, text, back, plain)
			}
			if n := strings.Count("\n"+once, "\n"+begin+"\n"); n != 1 {
				t.Errorf("%s of %q has %d blocks", name, text, n)
			}
		}
	})
}
