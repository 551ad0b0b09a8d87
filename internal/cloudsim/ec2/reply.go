package ec2

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"net/http"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/wire"
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
func (f *Face) reply(w http.ResponseWriter, asked cloudsim.Wire, id, api string, got answer, err error) {
	status, body := document(id, api, got, err)
	header := w.Header()
	header.Set("Date", f.opts.Cloud.Clock().UTC().Format(http.TimeFormat))
	header.Set("X-Amzn-Requestid", id)
	header.Set("Content-Type", "text/xml;charset=UTF-8")
	header.Set("Server", "AmazonEC2")
	header.Set("Cache-Control", "no-cache, no-store")
	wire.Send(w, asked, status, body)
}
