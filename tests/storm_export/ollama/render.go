// Renders templates as Ollama does: JSON lines {template, values} in, JSON strings out.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

func main() {
	functions := template.FuncMap{"json": func(value any) string {
		text, _ := json.Marshal(value)
		return string(text)
	}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var request struct {
			Template string
			Values   map[string]any
		}
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			panic(err)
		}
		parsed, err := template.New("").Option("missingkey=zero").Funcs(functions).Parse(request.Template)
		if err != nil {
			panic(err)
		}
		var text strings.Builder
		if err := parsed.Execute(&text, request.Values); err != nil {
			panic(err)
		}
		json.NewEncoder(os.Stdout).Encode(text.String())
	}
}
