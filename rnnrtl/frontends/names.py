"""Names: what a source calls its layers and its model, made into identifiers."""

import re

# IEEE 1364-2005, annex B: none of these can be the name of a module.
_KEYWORDS = """
    always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign
    default defparam design disable edge else end endcase endconfig endfunction endgenerate
    endmodule endprimitive endspecify endtable endtask event for force forever fork function
    generate genvar highz0 highz1 if ifnone incdir include initial inout input instance integer
    join large liblist library localparam macromodule medium module nand negedge nmos nor
    noshowcancelled not notif0 notif1 or output parameter pmos posedge primitive pull0 pull1
    pulldown pullup pulsestyle_ondetect pulsestyle_onevent rcmos real realtime reg release repeat
    rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled signed small specify specparam
    strong0 strong1 supply0 supply1 table task time tran tranif0 tranif1 tri tri0 tri1 triand
    trior trireg unsigned use uwire vectored wait wand weak0 weak1 while wire wor xnor xor
"""
VERILOG_KEYWORDS = frozenset(_KEYWORDS.split())


def identifier(text: str, *, fallback: str = "layer", digit: str = "layer_") -> str:
    """Return `text` as an identifier: "head.0" -> "head_0", "" -> `fallback`.

    `digit` goes before a name that begins with a digit: "0" -> "layer_0". It is the same for every
    kind of layer, because users name layers by it, too.
    """
    name = re.sub(r"[^0-9A-Za-z_]+", "_", text).strip("_")
    if not name:
        return fallback
    return digit + name if name[0].isdigit() else name


def module_name(text: str) -> str:
    """Return `text` as a name for a Verilog module, in lower snake case: "TopGRU" -> "top_gru"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    name = identifier(words, fallback="network", digit="network_").lower()
    return f"{name}_network" if name in VERILOG_KEYWORDS else name
