package conf

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// CheckAddress wants a controller's address: unix:// and the absolute path of
// its socket, or https:// with a host and a port.
func CheckAddress(address string) error {
	scheme, rest, ok := strings.Cut(address, "://")
	switch {
	case !ok && strings.HasPrefix(address, "/"):
		return fmt.Errorf("%s; did you mean %q?", quote(address), "unix://"+address)
	case scheme == "unix" && ok:
		return checkSocket(rest)
	case scheme == "https" && ok:
		return checkRemote(rest)
	case scheme == "http" && ok:
		return fmt.Errorf("%s; the API is never served without TLS, want https://", quote(address))
	}
	return fmt.Errorf("%s; want an address such as %s or https://10.0.0.1:7460", quote(address), DefaultControllerAddress)
}

// checkRemote wants a host and a port, and no path.
func checkRemote(hostPort string) error {
	host, port, err := net.SplitHostPort(strings.TrimSuffix(hostPort, "/"))
	if err != nil {
		return fmt.Errorf("%s; want a host and a port, such as https://10.0.0.1:7460", quote("https://"+hostPort))
	}
	if err := checkPortNumber(port); err != nil {
		return err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.IsUnspecified() || addr.IsMulticast() {
			return fmt.Errorf("%s is no address of a machine", addr)
		}
		return nil
	}
	if nic.CheckDomain(host) != nil {
		return fmt.Errorf("%s is neither an IP address nor a host name", quote(host))
	}
	return nil
}

func checkPortNumber(port string) error {
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port {
		return fmt.Errorf("port %s; want 1 to 65535", quote(port))
	}
	return nil
}

// checkListen checks where the API is served over TLS.
func (d *doc) checkListen(path string, l *Listen) {
	if at := under(path, "address"); d.good(at) {
		d.faultErr(at, checkLocal(l.Address))
	}
	for i, name := range l.Names {
		if _, err := netip.ParseAddr(name); err != nil && nic.CheckDomain(name) != nil {
			d.fault(item(under(path, "names"), i), "%s is neither an IP address nor a host name", quote(name))
		}
	}
	if at := under(path, "certificateLife"); d.good(at) && (l.CertificateLife < minLife || l.CertificateLife > DefaultCertificateLife) {
		d.fault(at, "%s; want %s to %s", l.CertificateLife, minLife, DefaultCertificateLife)
	}
	d.checkOwnPKI(path, l)
}

// minLife leaves an agent some tries to have its certificate renewed.
const minLife = nic.Duration(time.Minute)

// checkOwnPKI wants all files of the operators' own certificates, or none.
func (d *doc) checkOwnPKI(path string, l *Listen) {
	files := map[string]string{"cert": l.Cert, "key": l.Key, "clientCA": l.ClientCA}
	own := false
	for field := range files {
		own = own || d.given(under(path, field))
	}
	if !own {
		return
	}
	for _, field := range slices.Sorted(maps.Keys(files)) {
		if at := under(path, field); d.given(at) {
			d.checkFile(at, files[field])
		} else {
			d.fault(at, "is missing; cert, key and clientCA come together, and without all three the controller makes all certificates itself")
		}
	}
}

// checkLocal wants an address of this machine, or nothing, and a port.
func checkLocal(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s; want an IP address and a port, such as 10.0.0.1:7460 or [fd00::1]:7460", quote(address))
	}
	if addr, err := netip.ParseAddr(host); host != "" && (err != nil || addr.IsMulticast()) {
		return fmt.Errorf("%s is no IP address of this machine; want one, or nothing before the colon for all", quote(host))
	}
	return checkPortNumber(port)
}

// checkFile wants the path of a file that the field names.
func (d *doc) checkFile(path, file string) {
	if d.good(path) {
		d.faultErr(path, checkPath(file))
	}
}

// uriSchemes are the ways to a QEMU that libvirt runs. qemu+tcp is left out: it
// has neither a name nor a secret.
var uriSchemes = []string{"qemu", "qemu+unix", "qemu+ssh", "qemu+tls"}

// maxURI bounds a hypervisor's URI, in bytes.
const maxURI = 1024

// checkURI wants a hypervisor's URI as virsh -c takes it.
func checkURI(uri string) error {
	u, err := url.Parse(uri)
	if err != nil || len(uri) > maxURI || strings.ContainsFunc(uri, notGraphic) {
		return fmt.Errorf("%s is no URI; want one such as %s", quote(uri), DefaultURI)
	}
	_, hasPassword := u.User.Password()
	switch remote := u.Scheme == "qemu+ssh" || u.Scheme == "qemu+tls"; {
	case !slices.Contains(uriSchemes, u.Scheme):
		return fmt.Errorf("%s; want a URI of %s, such as %s", quote(uri), oneOf(uriSchemes), DefaultURI)
	case hasPassword:
		return errors.New("has a password in it, which would be seen in logs; use a key of ssh's")
	case remote && u.Hostname() == "":
		return fmt.Errorf("%s names no host; want %s://HOST/system", quote(uri), u.Scheme)
	case !remote && u.Host != "":
		return fmt.Errorf("%s names a host; want %s, qemu+ssh://%s/system or qemu+tls://%[3]s/system", quote(uri), DefaultURI, u.Host)
	case u.Path != "/system" && u.Path != "/session":
		return fmt.Errorf("%s; want /system or /session at its end", quote(uri))
	}
	return nil
}
