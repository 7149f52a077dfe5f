// A bank of BITS weight bits, written in words of 32 from the word address BASE on. It has no reset: weights survive.
//
// STYLE hardens the bits that are set in PROTECT: 0 none, 1 register-tmr, 2 full-tmr-scrub. A word with bits of both
// kinds has two registers, and bits are picked for them: by wires in synthesis (EDGEC_CELLS), by functions of the mask
// in simulation, which compile once instead of bit by bit for every word.
`default_nettype none
/* verilator lint_off DECLFILENAME */  // a bank, its word, and what the word needs
`ifndef EDGEC_CELLS
package edgec_bits;
  // The bits of `v` that are set in `mask`, side by side from bit 0 on.
  function automatic logic [31:0] gather(input logic [31:0] v, input logic [31:0] mask);
    /* verilator no_inline_task */
    integer k, n;
    begin
      gather = 32'h0;
      n = 0;
      for (k = 0; k < 32; k = k + 1)
        if (mask[k]) begin
          gather[n] = v[k];
          n = n + 1;
        end
    end
  endfunction
  // The inverse: bits of `v` from bit 0 on at the places that are set in `mask`, 0 elsewhere.
  function automatic logic [31:0] scatter(input logic [31:0] v, input logic [31:0] mask);
    /* verilator no_inline_task */
    integer k, n;
    begin
      scatter = 32'h0;
      n = 0;
      for (k = 0; k < 32; k = k + 1)
        if (mask[k]) begin
          scatter[k] = v[n];
          n = n + 1;
        end
    end
  endfunction
endpackage
`endif

module edgec_bank_word #(
  parameter WIDTH = 32,
  parameter STYLE = 0,
  parameter [WIDTH-1:0] PROTECT = {WIDTH{1'b0}}
) (
  input  wire clk,
  input  wire load,
  input  wire [WIDTH-1:0] d,
  output wire [WIDTH-1:0] q
);
  // How many of the bits below `top` are protected.
  function automatic integer protected_below(input integer top);
    integer k;
    begin
      protected_below = 0;
      for (k = 0; k < top; k = k + 1) if (PROTECT[k]) protected_below = protected_below + 1;
    end
  endfunction
  localparam HARD = (STYLE == 0) ? 0 : protected_below(WIDTH);
  localparam PLAIN = WIDTH - HARD;
  generate
    if (HARD > 0) begin : hard
      wire [HARD-1:0] hard_d, hard_q;
      if (STYLE == 1) begin : tmr
        edgec_register_tmr #(.WIDTH(HARD)) bits (.clk(clk), .rst(1'b0), .en(load), .d(hard_d), .q(hard_q));
      end else begin : scrub
        edgec_register_scrub #(.WIDTH(HARD)) bits (.clk(clk), .rst(1'b0), .en(load), .d(hard_d), .q(hard_q));
      end
    end
    if (PLAIN > 0) begin : plain
      wire [PLAIN-1:0] plain_d, plain_q;
      edgec_register #(.WIDTH(PLAIN)) bits (.clk(clk), .rst(1'b0), .en(load), .d(plain_d), .q(plain_q));
    end
    if (PLAIN == 0) begin : all_hard
      assign hard.hard_d = d;
      assign q = hard.hard_q;
    end else if (HARD == 0) begin : all_plain
      assign plain.plain_d = d;
      assign q = plain.plain_q;
    end else begin : mixed
`ifdef EDGEC_CELLS
      genvar b;
      for (b = 0; b < WIDTH; b = b + 1) begin : pick
        if (PROTECT[b]) begin : one
          assign hard.hard_d[protected_below(b)] = d[b];
          assign q[b] = hard.hard_q[protected_below(b)];
        end else begin : other
          assign plain.plain_d[b - protected_below(b)] = d[b];
          assign q[b] = plain.plain_q[b - protected_below(b)];
        end
      end
`else
      localparam [31:0] MASK = {{(32 - WIDTH){1'b0}}, PROTECT};
      localparam [31:0] REST = {{(32 - WIDTH){1'b0}}, ~PROTECT};
      wire [31:0] wide = {{(32 - WIDTH){1'b0}}, d};
      wire [31:0] picked_hard = edgec_bits::gather(wide, MASK);
      wire [31:0] picked_plain = edgec_bits::gather(wide, REST);
      wire [31:0] placed = edgec_bits::scatter({{(32 - HARD){1'b0}}, hard.hard_q}, MASK)
        | edgec_bits::scatter({{(32 - PLAIN){1'b0}}, plain.plain_q}, REST);
      assign hard.hard_d = picked_hard[HARD-1:0];
      assign plain.plain_d = picked_plain[PLAIN-1:0];
      assign q = placed[WIDTH-1:0];
      wire unused = &{1'b0, picked_hard, picked_plain, placed};
`endif
    end
  endgenerate
endmodule

module edgec_bank #(
  parameter BITS = 32,
  parameter BASE = 0,
  parameter ADDRESS_BITS = 8,
  parameter STYLE = 0,
  parameter [BITS-1:0] PROTECT = {BITS{1'b1}}
) (
  input  wire clk,
  input  wire wr_en,
  input  wire [ADDRESS_BITS-1:0] wr_addr,
  input  wire [31:0] wr_data,
  output wire [BITS-1:0] q
);
  localparam WORDS = (BITS + 31) / 32;
  genvar i;
  generate
    for (i = 0; i < WORDS; i = i + 1) begin : words
      localparam LOW = 32 * i;
      localparam WIDTH = (BITS - LOW < 32) ? BITS - LOW : 32;
      localparam [31:0] ADDRESS = BASE + i;
      edgec_bank_word #(.WIDTH(WIDTH), .STYLE(STYLE), .PROTECT(PROTECT[LOW +: WIDTH])) word (
        .clk(clk), .load(wr_en && wr_addr == ADDRESS[ADDRESS_BITS-1:0]), .d(wr_data[WIDTH-1:0]),
        .q(q[LOW +: WIDTH]));
    end
  endgenerate
  wire unused = &{1'b0, wr_data};
endmodule
/* verilator lint_on DECLFILENAME */
`default_nettype wire
