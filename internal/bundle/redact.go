package bundle

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// gone stands for a secret.
const gone = "[redacted]"

// A redactor takes secrets out of texts. It goes by how secrets look and by what
// they are called, and rather takes too much. It is not safe for concurrent use.
type redactor struct {
	hide *pseudonyms // nil shows addresses
}

// newRedactor makes one; with hideAddresses it gives each address a name, which
// is the same in all its texts.
func newRedactor(hideAddresses bool) *redactor {
	if !hideAddresses {
		return &redactor{}
	}
	return &redactor{hide: newPseudonyms()}
}

// secretName is part of what a secret is called.
const secretName = `(?:pass(?:word|wd|phrase|code)|secret|token|psk|api[_-]?key|access[_-]?key|private[_-]?key|secret[_-]?key|` +
	`credential|wep[_-]?key|pre[_-]?shared|community|client[_-]?key[_-]?data|authorization|cookie|x-auth|session[_-]?key)`

var (
	secretKey = regexp.MustCompile(`(?i)` + secretName + `|^env(ironment)?$`)

	pemBegin = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----`)
	pemEnd   = regexp.MustCompile(`-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----`)
	// pemRest is the end of a key whose beginning was cut off.
	pemRest = regexp.MustCompile(`(?:[^\n]*[A-Za-z0-9+/=]{32,}[^\n]*\n)*[^\n]*-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----`)

	// rules are for one line each. One of the hints, in small letters, is in each
	// line that a rule is for: rules are slow, and most lines have none.
	rules = []struct {
		hints []string
		is    *regexp.Regexp
		to    string
	}{
		{[]string{"nft1_"}, regexp.MustCompile(`nft1_[A-Za-z0-9_=+/-]*`), "nft1_" + gone},
		// The inside of a token, and what is made like it.
		{[]string{"eyj"}, regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{30,}(\.[A-Za-z0-9_-]+)*`), gone},
		{[]string{"akia", "asia", "ltai", "sts.", "gh", "xox"}, regexp.MustCompile(`\b(AKIA|ASIA)[0-9A-Z]{12,}|\bLTAI[0-9A-Za-z]{12,}|\bSTS\.[0-9A-Za-z]{12,}|\bgh[pousr]_[0-9A-Za-z]{20,}|\bxox[abprs]-[0-9A-Za-z-]{10,}`), gone},
		// Of a call as it was signed.
		{[]string{"signature"}, regexp.MustCompile(`(?i)\b(signature(?:=|%3d))[^\s&,"<]+`), "${1}" + gone},
		// A password in a URI may have any sign but a blank; a long user is one too.
		{[]string{"://"}, regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@"'<>]*):[^\s"'<>]*@`), "${1}:" + gone + "@"},
		{[]string{"://"}, regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/:@"'<>]{20,}@`), "${1}" + gone + "@"},
		{[]string{"bearer", "basic", "digest"}, regexp.MustCompile(`(?i)\b(bearer|basic|digest)[ \t]+[A-Za-z0-9+/_=.~-]{8,}`), "${1} " + gone},
		{[]string{"env"}, regexp.MustCompile(`(?i)("env(?:ironment)?\\*"\s*:\s*)\[[^\]]*\]?`), "${1}[]"},
		// docker run -e NAME=VALUE
		{[]string{"-e"}, regexp.MustCompile(`((?:^|[\s"',\[])(?:-e|--env)[\s"',=]+[A-Za-z_][A-Za-z0-9_]*=)("[^"\n]*"|'[^'\n]*'|[^\s"',\]]+)`), "${1}" + gone},
		{names, regexp.MustCompile(`(?i)(--?[\w-]*` + secretName + `[\w-]*[ \t]+)([^\s-]\S*)`), "${1}" + gone},
		// Headers and such, where blanks are part of it.
		{names, regexp.MustCompile(`(?i)((?:authorization|cookie)[\\"']*\s*[:=]\s*)[^\n"]*`), "${1}" + gone},
		// name: [a, b]
		{names, regexp.MustCompile(`(?i)([\w.-]*` + secretName + `[\w.-]*[\\"']*[ \t]*[:=][ \t]*)[\[{][^\n]*`), "${1}" + gone},
		// name="a b", name: 'a b', \"name\":\"a b\"
		{names, regexp.MustCompile(`(?i)([\w.-]*` + secretName + `[\w.-]*[\\"']*[ \t]*[:=][ \t]*)(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\\+"[^"\n]*"?)`), `${1}"` + gone + `"`},
		// name: a b, name = a b, to the end of the line
		{names, regexp.MustCompile(`(?i)([\w.-]*` + secretName + `[\w.-]*[\\"']*(?:[ \t]*:[ \t]+|[ \t]+=[ \t]*|:=))([^\s"'\[{|>][^\n]*)`), "${1}" + gone},
		// name=a, name:a
		{names, regexp.MustCompile(`(?i)([\w.-]*` + secretName + `[\w.-]*[\\"']*[=:])([^\s"'&;,\[{|>][^\s&;,]*)`), "${1}" + gone},
	}

	// block is a line of YAML whose value is in the lines below it, or in a list.
	block = regexp.MustCompile(`(?i)^([ \t]*(?:- )?)["']?[\w.-]*` + secretName + `[\w.-]*["']?[ \t]*:[ \t]*([|>\[{][^\n]*)?$`)
)

// names are parts of secretName, one of which is in all that it matches.
var names = []string{"pass", "secret", "token", "psk", "key", "credential", "shared", "community", "authorization", "cookie", "x-auth"}

// hinted says whether a line in small letters has one of the hints.
func hinted(small string, hints []string) bool {
	return slices.ContainsFunc(hints, func(h string) bool { return strings.Contains(small, h) })
}

// text takes the secrets out of any text.
func (r *redactor) text(text []byte) []byte {
	text = blocks(keys(text))
	var out []byte
	for line := range bytes.Lines(text) {
		small := strings.ToLower(string(line))
		for _, rule := range rules {
			if hinted(small, rule.hints) {
				line = rule.is.ReplaceAll(line, []byte(rule.to))
			}
		}
		out = append(out, line...)
	}
	text = out
	if r.hide != nil {
		text = r.hide.replace(text)
	}
	return text
}

// json takes the secrets out of a JSON text by its fields, so that it remains
// one. What is not JSON is done as any text.
func (r *redactor) json(text []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil || decoder.More() {
		return r.text(text)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if encoder.Encode(r.value(v)) != nil {
		return r.text(text)
	}
	return out.Bytes()
}

func (r *redactor) value(v any) any {
	switch v := v.(type) {
	case string:
		return string(r.text([]byte(v)))
	case []any:
		for i := range v {
			if i > 0 && (v[i-1] == "-e" || v[i-1] == "--env") {
				v[i] = gone // of docker run
				continue
			}
			v[i] = r.value(v[i])
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for k, of := range v {
			if secretKey.MatchString(k) && !plain(of) {
				of = gone
			} else {
				of = r.value(of)
			}
			clean[string(r.text([]byte(k)))] = of
		}
		return clean
	}
	return v
}

// plain says whether a value can be no secret, whatever it is called.
func plain(v any) bool {
	switch v := v.(type) {
	case nil, bool:
		return true
	case string:
		return v == ""
	}
	return false
}

// keys takes private keys out, also those whose beginning or end was cut off.
func keys(text []byte) []byte {
	if !bytes.Contains(text, []byte("PRIVATE KEY")) {
		return text
	}
	var out []byte
	for {
		begin := pemBegin.FindIndex(text)
		if begin == nil {
			break
		}
		out = append(append(out, pemRest.ReplaceAll(text[:begin[0]], []byte(gone))...), gone...)
		end := pemEnd.FindIndex(text[begin[1]:])
		if end == nil { // all the rest may be of it
			return out
		}
		text = text[begin[1]+end[1]:]
	}
	return append(out, pemRest.ReplaceAll(text, []byte(gone))...)
}

// blocks takes out what is below a line of YAML that names a secret.
func blocks(text []byte) []byte {
	var out strings.Builder
	below := -1 // the indentation of the line that names a secret
	for line := range strings.SplitAfterSeq(string(text), "\n") {
		body := strings.TrimRight(line, "\r\n")
		indent := len(body) - len(strings.TrimLeft(body, " \t"))
		if below >= 0 && (strings.TrimSpace(body) == "" || indent > below || indent == below && strings.HasPrefix(strings.TrimLeft(body, " \t"), "- ")) {
			continue
		}
		below = -1
		var m []int
		if hinted(strings.ToLower(body), names) {
			m = block.FindStringSubmatchIndex(body)
		}
		if m != nil {
			below = indent
			if m[4] >= 0 {
				body = body[:m[4]]
			}
			out.WriteString(strings.TrimRight(body, " ") + " " + gone + "\n")
			continue
		}
		out.WriteString(line)
	}
	return []byte(out.String())
}
