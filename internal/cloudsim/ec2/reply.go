package ec2

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"net"
	"net/http"
	"strconv"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

const namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"

// refusalDocument is the only shape of an error that the SDK reads.
type refusalDocument struct {
	XMLName xml.Name `xml:"Response"`
	Code    string   `xml:"Errors>Error>Code"`
	Message string   `xml:"Errors>Error>Message"`
	ID      string   `xml:"RequestID"`
}

// requestID is drawn as EC2's are: a UUID.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// document is what is answered, as XML, with its status.
func document(id, api string, got answer, err error) (int, []byte) {
	var out bytes.Buffer
	out.WriteString(xml.Header)
	encoder := xml.NewEncoder(&out)
	encoder.Indent("", "    ")
	if err != nil {
		said, ok := errors.AsType[*cloudsim.Error](err)
		if !ok {
			said = &cloudsim.Error{Code: "InternalError", Message: err.Error(), Status: http.StatusInternalServerError}
		}
		if err := encoder.Encode(refusalDocument{Code: said.Code, Message: said.Message, ID: id}); err == nil {
			return cmp.Or(said.Status, http.StatusBadRequest), out.Bytes()
		}
		return http.StatusInternalServerError, nil
	}
	got.stamp(id)
	start := xml.StartElement{Name: xml.Name{Space: namespace, Local: api + "Response"}}
	if encoder.EncodeElement(got, start) != nil {
		return http.StatusInternalServerError, nil
	}
	return http.StatusOK, out.Bytes()
}

// reply sends the answer, as far as the wire lets it through.
func (f *Face) reply(w http.ResponseWriter, wire cloudsim.Wire, id, api string, got answer, err error) {
	status, body := document(id, api, got, err)
	header := w.Header()
	header.Set("Date", f.opts.Cloud.Clock().UTC().Format(http.TimeFormat))
	header.Set("X-Amzn-Requestid", id)
	header.Set("Content-Type", "text/xml;charset=UTF-8")
	header.Set("Server", "AmazonEC2")
	header.Set("Cache-Control", "no-cache, no-store")
	switch wire.Verb {
	case cloudsim.LoseReply:
		panic(http.ErrAbortHandler) // closes the connection without a word
	case cloudsim.Reset:
		reset(w)
	case cloudsim.HTML:
		header.Set("Content-Type", "text/html")
		w.WriteHeader(cmp.Or(wire.Status, http.StatusBadGateway))
		_, _ = w.Write([]byte("<html><head><title>502 Bad Gateway</title></head><body>\n<center><h1>502 Bad Gateway</h1></center>\n</body></html>\n"))
	case cloudsim.Empty:
		w.WriteHeader(cmp.Or(wire.Status, http.StatusOK))
	case cloudsim.Half:
		header.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client may be gone: its loss
	}
}

// reset breaks the connection as a peer does whose kernel knows nothing of it.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
