package conf

import (
	"strings"
	"testing"
)

// checkText wants nil of check for an empty want, else an error with that text.
func checkText(t *testing.T, check func(string) error, cases map[string]string) {
	t.Helper()
	for text, want := range cases {
		err := check(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	checkText(t, CheckAddress, map[string]string{
		"unix:///run/x.sock":                  "",
		"unix://run/x.sock":                   "absolute",
		"unix://":                             "absolute",
		"/run/x.sock":                         `did you mean "unix:///run/x.sock"?`,
		"unix:///" + strings.Repeat("x", 107): "the kernel allows",
		"https://10.0.0.1:7460":               "",
		"https://[fd00::1]:7460":              "",
		"https://nicferryd.lab:7460/":         "",
		"https://10.0.0.1":                    "want a host and a port",
		"https://fd00::1:7460":                "want a host and a port",
		"https://10.0.0.1:0":                  "want 1 to 65535",
		"https://10.0.0.1:http":               "want 1 to 65535",
		"https://0.0.0.0:7460":                "no address of a machine",
		"https://a;b:7460":                    "neither an IP address nor a host name",
		"https://u:p@h:7460":                  "want a host and a port",
		"https://h:7460/v1":                   "want 1 to 65535",
		"http://10.0.0.1:7460":                "never served without TLS",
		"tcp://10.0.0.1:7460":                 "want an address such as",
		"unix":                                "want an address such as",
		"":                                    "want an address such as",
	})
}

func TestCheckLocal(t *testing.T) {
	t.Parallel()
	checkText(t, checkLocal, map[string]string{
		"10.0.0.1:7460": "", "[fd00::1]:7460": "", ":7460": "", "0.0.0.0:7460": "", "[fe80::1%eth0]:7460": "",
		"10.0.0.1": "want an IP address and a port", "10.0.0.1:": "want 1 to 65535", "10.0.0.1:70000": "want 1 to 65535",
		"controller:7460": "no IP address of this machine", "224.0.0.1:7460": "no IP address of this machine", "": "want an IP address and a port",
	})
}

func TestCheckURI(t *testing.T) {
	t.Parallel()
	checkText(t, checkURI, map[string]string{
		"qemu:///system":  "",
		"qemu:///session": "",
		"qemu+unix:///system?socket=/run/x/libvirt-sock": "",
		"qemu+ssh://root@kvm1.lab/system?keyfile=/k":     "",
		"qemu+tls://kvm1/system":                         "",
		"qemu://kvm1/system":                             "names a host; want qemu:///system, qemu+ssh://kvm1/system or qemu+tls://kvm1/system",
		"qemu+ssh:///system":                             "names no host",
		"qemu+tcp://kvm1/system":                         "want a URI of qemu, qemu+unix, qemu+ssh or qemu+tls",
		"qemu+ssh://root:secret@kvm1/system":             "password",
		"test:///default":                                "want a URI of qemu",
		"xen:///system":                                  "want a URI of qemu",
		"qemu:///":                                       "want /system or /session",
		"qemu:///system\x1b":                             "no URI",
		"qemu:///sys tem":                                "no URI",
		"":                                               "want a URI of qemu",
		"qemu:///" + strings.Repeat("x", maxURI):         "no URI",
	})
}
