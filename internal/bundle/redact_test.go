package bundle

import (
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary is in each secret of the tests, in the midst of it.
const canary = "hunter2Canary"

const pem = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE" + canary + "IAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAA" + canary + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n-----END EC PRIVATE KEY-----"

// planted are secrets in all the ways in which they come.
func planted() map[string]string {
	return map[string]string{
		"key":               pem,
		"key in a journal":  "2026-01-01 h u[1]: " + strings.ReplaceAll(pem, "\n", "\n2026-01-01 h u[1]: "),
		"key in JSON":       `{"x":"` + strings.ReplaceAll(pem, "\n", `\n`) + `"}`,
		"key without end":   pem[:len(pem)-40],
		"key without begin": pem[40:],
		"PKCS8":             strings.ReplaceAll(pem, "EC PRIVATE", "PRIVATE"),
		"OpenSSH":           strings.ReplaceAll(pem, "EC PRIVATE", "OPENSSH PRIVATE"),
		"PGP":               strings.ReplaceAll(pem, "EC PRIVATE KEY", "PGP PRIVATE KEY BLOCK"),
		"token":             "nicferry-agent join https://10.0.0.1:7460 nft1_eyJjb250cm9sbGVy" + canary + "-_x and more",
		"token in quotes":   `token="nft1_` + canary + `"`,
		"inside of a token": "eyJjb250cm9sbGVycyI6WyJodHRwczovLzEw" + canary,
		"JWT":               "jwt eyJhbGciOiJIUzI1NiJ9aaaaaaaaaaaaaaaaaaaaaaa.eyJ" + canary + ".x" + canary,
		"YAML":              "password: " + canary,
		"YAML, blanks":      "  dbPassword:  my " + canary + " is long # really",
		"YAML, quoted":      "secret: \"a " + canary + ` \" ` + canary + `"`,
		"YAML, single":      "api_key: 'a " + canary + "'",
		"YAML, block":       "x: 1\nclientSecret: |\n  first\n  " + canary + "\n\n  more " + canary + "\ny: 2",
		"YAML, list":        "tokens:\n  - " + canary + "\n  - b" + canary + "\ny: 2",
		"YAML, list, flat":  "tokens:\n- " + canary + "\ny: 2",
		"YAML, flow":        "tokens: [a, " + canary + "]",
		"YAML, in flow":     "{user: x, password: " + canary + ", y: 1}",
		"YAML, in an item":  "  - password: " + canary,
		"INI":               "psk=" + canary,
		"INI, blanks":       "wpa_passphrase = a " + canary,
		"wpa_supplicant":    "network={\n\tssid=\"x\"\n\tpsk=\"a " + canary + "\"\n\twep_key0=" + canary + "\n}",
		"NetworkManager":    "[wifi-security]\npsk=" + canary,
		"JSON in a log":     `msg="got {\"password\":\"` + canary + `\"}"`,
		"JSON":              `{"password":"` + canary + `","user":"x"}`,
		"JSON, list":        `{"tokens":["` + canary + `",{"a":"` + canary + `"}]}`,
		"JSON, environment": `{"Config":{"Env":["A=` + canary + `"]}}`,
		"URI":               "postgres://u:" + canary + "@db/x",
		"URI with signs":    "amqp://u:p/" + canary + "@ss:w@db:5672/x",
		"URI, user alone":   "https://" + canary + "0123456789@github.com/x",
		"query":             "GET /x?access_key=" + canary + "&y=1",
		"header":            "Authorization: Bearer " + canary,
		"header, basic":     "> authorization: Basic " + canary + "==",
		"cookie":            "Set-Cookie: a=b; session=" + canary,
		"docker run":        "docker run -e DB=" + canary + " --env X='a " + canary + "' img",
		"docker run, form":  "--env=DB=" + canary,
		"argv":              `["docker","run","-e","DB=` + canary + `"]`,
		"flag":              "mysql --password " + canary,
		"flag, joined":      "mysql --password=" + canary,
		"AWS":               "AKIAABCDEFGHIJKLMNOP aws_secret_access_key = " + canary,
		"Aliyun":            "ALIBABA_CLOUD_ACCESS_KEY_ID=" + canary + "\nALIBABA_CLOUD_ACCESS_KEY_SECRET=" + canary + "\nALIBABA_CLOUD_SECURITY_TOKEN=" + canary,
		"Aliyun, ids":       "signed by LTAI" + canary + " and STS." + canary,
		"Aliyun, CLI":       `{"profiles":[{"mode":"AK","access_key_id":"` + canary + `","access_key_secret":"` + canary + `","sts_token":"` + canary + `"}]}`,
		"Aliyun, call":      "Post https://ecs.example/?AccessKeyId=" + canary + "&SecurityToken=" + canary + "&Signature=" + canary + "%3D&Action=X",
		"Aliyun, role":      `{"AccessKeyId":"` + canary + `","AccessKeySecret":"` + canary + `","SecurityToken":"` + canary + `","Code":"Success"}`,
		"SNMP":              "community " + "community=" + canary,
	}
}

func TestSecretsAreTakenOut(t *testing.T) {
	t.Parallel()
	for name, text := range planted() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, hide := range []bool{false, true} {
				for how, redact := range map[string]func([]byte) []byte{"text": newRedactor(hide).text, "JSON": newRedactor(hide).json} {
					got := string(redact([]byte("before\n" + text + "\nafter\n")))
					if strings.Contains(got, canary) {
						t.Errorf("as %s it is still there: %s", how, got)
					}
					if cut := name == "key without end"; !cut && !strings.Contains(got, "after") || !strings.Contains(got, "before") {
						t.Errorf("as %s, too much is gone: %s", how, got)
					}
					got = string(redact([]byte(text)))
					if strings.Contains(got, canary) {
						t.Errorf("as %s, alone, it is still there: %s", how, got)
					}
				}
			}
		})
	}
}

// What people need to find a fault stays as it is.
func TestTheRestStays(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"key: /etc/nicferry/tls/agent.key",
		"uri: qemu+ssh://root@kvm1.lab/system",
		"controllers: [https://10.0.0.1:7460, https://[fd00::1]:7460]",
		`{"time":"2026-11-21T13:04:32Z","level":"INFO","msg":"agent started","node":"vm1","claim":"clm-2c711071831ded75"}`,
		"2: eth0: <BROADCAST> mtu 1500 link/ether 52:54:00:12:34:56 brd ff:ff:ff:ff:ff:ff",
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
		"nicferry_claims{network=\"lab\"} 3",
	} {
		if got := string(newRedactor(false).text([]byte(text))); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	in := `{"name":"n1","version":12345678901234567890,"html":"<&>","nested":{"password":"","secure":true}}`
	out := newRedactor(false).json([]byte(in))
	var a, b any
	if json.Unmarshal([]byte(in), &a) != nil || json.Unmarshal(out, &b) != nil {
		t.Fatalf("no JSON any more: %s", out)
	}
	for _, want := range []string{"12345678901234567890", "<&>", `"password": ""`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s: want %s in it", out, want)
		}
	}
}

func TestAddressesAreHidden(t *testing.T) {
	t.Parallel()
	r := newRedactor(true)
	for _, c := range []struct{ text, want string }{
		{"eth0 52:54:00:12:34:56 10.0.0.7/24", "eth0 mac-1 ipv4-1/24"},
		{"again 52-54-00-12-34-56, 10.0.0.7:7460, ::ffff:10.0.0.7", "again mac-1, ipv4-1:7460, ipv4-1"},
		{"https://[fd00::1]:7460 fe80::1%eth0 FD00:0::1", "https://[ipv6-1]:7460 ipv6-2%eth0 ipv6-1"},
		{"enx525400123456 up", "en-mac-1 up"},
		{`{"address":"52:54:00:12:34:57","at":"13:04:32","pci":"0000:01:00.0"}`, `{"address":"mac-2","at":"13:04:32","pci":"0000:01:00.0"}`},
		{"127.0.0.1 ::1 0.0.0.0 :: ff:ff:ff:ff:ff:ff 00:00:00:00:00:00 255.255.255.0", "127.0.0.1 ::1 0.0.0.0 :: ff:ff:ff:ff:ff:ff 00:00:00:00:00:00 255.255.255.0"},
		{"2001:db8::7: no route", "ipv6-3: no route"},
		{"std::vector abc::def 1.2.3.400", "std::vector ipv6-4 1.2.3.400"},
		{"nic-7e16e0e666fd3708 2026-11-21T13:04:32Z", "nic-7e16e0e666fd3708 2026-11-21T13:04:32Z"},
	} {
		if got := string(r.text([]byte(c.text))); got != c.want {
			t.Errorf("%q became %q, want %q", c.text, got, c.want)
		}
	}
}

// Whatever stands around it, what is a secret by its own look goes; and no text
// makes a redactor fail.
func FuzzText(f *testing.F) {
	for _, text := range planted() {
		f.Add(text, text)
	}
	f.Add("{\"a\":", "}\n")
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.Contains(before+after, canary) {
			before, after = strings.ReplaceAll(before, canary, "x"), strings.ReplaceAll(after, canary, "x")
		}
		for _, secret := range []string{"nft1_" + canary, "\n" + pem + "\n"} {
			for _, redact := range []func([]byte) []byte{newRedactor(false).text, newRedactor(true).json} {
				if got := redact([]byte(before + secret + after)); strings.Contains(string(got), canary) {
					t.Errorf("still there: %q", got)
				}
			}
		}
	})
}
