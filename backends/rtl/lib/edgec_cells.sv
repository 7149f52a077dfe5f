// Vectors of adder cells. Synthesis may replace the one-bit cells edgec_full_adder and edgec_half_adder by those
// of a library: define EDGEC_LIBRARY_CELLS and supply modules of these names.
`default_nettype none
/* verilator lint_off DECLFILENAME */  // the cells are one family in one file
/* verilator lint_off UNOPTFLAT */     // a ripple carry chain runs through one vector

// One full adder a bit: sums s and carries co, no chain between the bits.
module edgec_fa #(
  parameter WIDTH = 1
) (
  input  wire [WIDTH-1:0] a,
  input  wire [WIDTH-1:0] b,
  input  wire [WIDTH-1:0] c,
  output wire [WIDTH-1:0] s,
  output wire [WIDTH-1:0] co
);
  genvar i;
  generate
    for (i = 0; i < WIDTH; i = i + 1) begin : bits
      edgec_full_adder cell_i (.a(a[i]), .b(b[i]), .ci(c[i]), .s(s[i]), .co(co[i]));
    end
  endgenerate
endmodule

// One half adder a bit.
module edgec_ha #(
  parameter WIDTH = 1
) (
  input  wire [WIDTH-1:0] a,
  input  wire [WIDTH-1:0] b,
  output wire [WIDTH-1:0] s,
  output wire [WIDTH-1:0] co
);
  genvar i;
  generate
    for (i = 0; i < WIDTH; i = i + 1) begin : bits
      edgec_half_adder cell_i (.a(a[i]), .b(b[i]), .s(s[i]), .co(co[i]));
    end
  endgenerate
endmodule

// a + b + 1 a bit.
module edgec_ha1 #(
  parameter WIDTH = 1
) (
  input  wire [WIDTH-1:0] a,
  input  wire [WIDTH-1:0] b,
  output wire [WIDTH-1:0] s,
  output wire [WIDTH-1:0] co
);
  assign s = ~(a ^ b);
  assign co = a | b;
endmodule

`ifndef EDGEC_LIBRARY_CELLS
module edgec_full_adder (
  input  wire a,
  input  wire b,
  input  wire ci,
  output wire s,
  output wire co
);
  assign s = a ^ b ^ ci;
  assign co = (a & b) | (ci & (a ^ b));
endmodule

module edgec_half_adder (
  input  wire a,
  input  wire b,
  output wire s,
  output wire co
);
  assign s = a ^ b;
  assign co = a & b;
endmodule
`endif

/* verilator lint_on UNOPTFLAT */
/* verilator lint_on DECLFILENAME */
`default_nettype wire
